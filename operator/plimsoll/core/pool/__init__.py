"""Many models in the same pods: what a pool is made of, and how a service of it looks to its release."""
