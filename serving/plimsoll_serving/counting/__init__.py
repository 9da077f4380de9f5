"""Bins of features and predictions, counted for those who compare versions.

What may not happen here: no request waits for a count or fails with it, no label that is not of the version's profile,
no work without a bound.
"""
