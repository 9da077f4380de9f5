"""How laws are tried here: the same examples in every run, and how long they take decides nothing."""

from hypothesis import settings

law = settings(deadline=None, derandomize=True, max_examples=60)
slow_law = settings(law, max_examples=25)
