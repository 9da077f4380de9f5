"""What the server tells about itself to people and tools: ``/docs``, ``/openapi.json`` and the first screen.

What may not happen here: no effect and no request of its own; nothing is loaded from elsewhere by the page.
"""
