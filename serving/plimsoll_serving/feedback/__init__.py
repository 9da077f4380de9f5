"""Feedback: every answer carries a signed prediction id, and a label sent with it later is counted by any pod.

What may not happen here: nothing is stored outside the process, no id is believed without its signature, no number of
ids, labels or versions grows without a bound.
"""
