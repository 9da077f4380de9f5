"""A real single-node Kubernetes 1.35 as host processes, for development and tests, without Docker.

Nothing here may import a third-party package (the command runs before any is installed), touch a process, mount,
link or firewall rule that it did not make, or be imported by the operator, the server or the trainer.
"""
