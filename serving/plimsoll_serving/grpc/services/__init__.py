"""The services of a gRPC port: inference, health and reflection."""
