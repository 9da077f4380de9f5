"""Development tool: writes the CRDs, their chart templates and the API reference from `plimsoll.api`.

The operator never imports it; `kubectl plimsoll simulate` reads a manifest by the same schema. No reading of clusters
and no knowledge of single kinds in here.
"""
