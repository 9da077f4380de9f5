"""Scenes that errors do not show: other predictions, labels that come late, slower answers.

They go window by window through `plimsoll.core.verdict`, with everything a release sees, where the grid of
`bench.release.cells` is of errors alone and of many runs at once: so there are fewer runs here.
"""
