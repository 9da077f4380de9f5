"""The control plane of Plimsoll: a Kubernetes operator for models in production.

Dependency direction, held by import-linter: handlers → converge → { core ∥ edge } → { facts, names, api }.
"""
