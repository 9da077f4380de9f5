"""`kubectl plimsoll`: what a release does and why, and commands to it, at the terminal.

It speaks to the cluster through kubectl alone, so kubeconfig, logins and proxies are kubectl's own. It imports neither
the operator's process nor what reaches a cluster; of the core only what is pure, and what is slow only when it is used.
"""

#: As pyproject.toml has it: the plugin also runs from an archive, without a package's metadata.
__version__ = "0.1.0"
