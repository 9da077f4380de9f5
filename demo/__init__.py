"""The quickstart as one command: `python -m demo`.

It uses the product as a user would: manifests, kubectl, helm and HTTP.
"""
