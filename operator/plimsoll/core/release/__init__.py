"""The release: which revision, in which phase, with what share, and why. Pure: no clock, no I/O, and nothing here renders a pod."""
