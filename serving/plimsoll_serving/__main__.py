"""Entry point of ``python -m plimsoll_serving``."""

import sys

from plimsoll_serving.cli import main

sys.exit(main())
