"""The limit: onnxruntime called in process on the same rows, with nothing around it.

Run as a process of its own, pinned to the server's core: `python -m bench.serving.limit MODEL FEATURES ROWS SECONDS`.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.serving.models import ModelFile

CHUNK = 100


def session(model: Path) -> Any:
    """A session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def measure(model: Path, features: int, rows: int, seconds: float) -> dict[str, float]:
    """Calls a second, p99 in milliseconds, CPU in microseconds for each call, and resident memory in 10^6 bytes."""
    run = session(model).run
    feeds = {"input": ModelFile("", features, model.parent).rows(rows)}
    for _ in range(CHUNK):
        run(None, feeds)
    took: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    before = began
    while before < began + seconds:
        run(None, feeds)
        after = time.perf_counter()
        took.append(after - before)
        before = after
    return {
        "requests_per_second": len(took) / (before - began),
        "p50_ms": float(np.percentile(took, 50)) * 1e3,
        "p99_ms": float(np.percentile(took, 99)) * 1e3,
        "cpu_us_per_request": (time.process_time() - cpu) / len(took) * 1e6,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


if __name__ == "__main__":
    path, width, count, length = sys.argv[1:]
    print(json.dumps(measure(Path(path), int(width), int(count), float(length))))
