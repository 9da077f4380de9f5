"""gRPC over the HTTP/2 state machine: framing, calls, connections, and the services of the data plane.

What may not happen here: no inference (calls become the same requests as those of HTTP), no unbounded buffer.
"""
