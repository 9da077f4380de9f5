"""HTTP/1.1 over asyncio.Protocol and httptools: messages, limits, the server's connections, a kept-alive client.

What may not happen here: no knowledge of models, routes or metrics; no unbounded buffer; no answer out of order.
"""
