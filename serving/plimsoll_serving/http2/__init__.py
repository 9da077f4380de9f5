"""HTTP/2 (RFC 9113) as a server speaks it, as a pure state machine: bytes in, events and bytes out.

What may not happen here: no I/O, no clock, no randomness, no knowledge of gRPC. No input raises: what a peer does wrong
ends its stream or its connection. No input makes a connection hold more than its limits say.
"""
