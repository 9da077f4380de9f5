import os
import sys

# A process for each core: matrices of this size are slower by several threads of each, which wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bench.release.cli import main

if __name__ == "__main__":
    sys.exit(main())
