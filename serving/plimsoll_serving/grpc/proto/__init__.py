"""The protocol buffers that are served: their text, and what protoc makes of it (``make generate``)."""
