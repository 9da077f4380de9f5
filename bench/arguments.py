"""Arguments of the benchmarks' command lines."""

import argparse


def positive(text: str) -> int:
    """A whole number from 1. Raises ArgumentTypeError or ValueError, which argparse tells."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return value
