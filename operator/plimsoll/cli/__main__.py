"""`python -m plimsoll.cli`: the same as `kubectl plimsoll`."""

from __future__ import annotations

import sys

from plimsoll.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
