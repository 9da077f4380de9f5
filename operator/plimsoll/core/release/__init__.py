"""The release: which revision, in which phase, with what share, and why. No clock, no I/O; no pod is rendered here."""
