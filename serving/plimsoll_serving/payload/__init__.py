"""The payload log: a sample of requests and answers as CloudEvents, for those who look at them later.

What may not happen here: no request waits for the log or fails with it, no masked value leaves the process, no event
waits without a bound.
"""
