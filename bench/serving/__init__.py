"""`make bench-serving`: this server against the servers that users would pick instead.

The server under test has one core, the client the other. Nothing here imports a server: each runs as a process in an
environment of its own, made from a committed file of exact versions.
"""
