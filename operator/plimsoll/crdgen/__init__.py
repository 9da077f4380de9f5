"""Development tool: writes the CRDs, their chart templates and the API reference from `plimsoll.api`.

The operator never imports it. No reading of clusters and no knowledge of single kinds in here.
"""
