"""Entry point of ``python3 devcluster`` and ``python3 -m devcluster``."""

import sys
from pathlib import Path

# `python3 devcluster` puts the folder itself first on the path, where its modules would shadow others.
if sys.path[0] == str(Path(__file__).resolve().parent):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
else:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from devcluster.cli import main

sys.exit(main(sys.argv[1:]))
