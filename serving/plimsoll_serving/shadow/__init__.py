"""Shadow traffic: copies of requests go to an arm that answers no user, and its answers are compared pair by pair.

What may not happen here: nothing before the user's answer has been sent; no change to that answer, to a breaker or to
the counters of user traffic; no queue, wait or answer without a bound.
"""
