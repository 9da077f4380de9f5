"""How much memory this container may use, what one request body may be of that, when it is looked through, and what is
given back."""

import ctypes
import gc
from pathlib import Path

CGROUP_V2_LIMIT = Path("/sys/fs/cgroup/memory.max")
CGROUP_V1_LIMIT = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
LARGEST_BODY = 32 * 1024 * 1024
# JSON that means harm (empty lists without end) takes up to 25 times its bytes while it is read, and four bodies may
# wait besides: with this share of the limit the worst of them leaves half of the memory to the model.
BODY_SHARE = 64
# Objects of the requests under way come and go without cycles: the collector's own 700 would run it all the time.
COLLECTOR_THRESHOLD = 20_000


def memory_limit() -> int | None:
    """Bytes that this container may use; None without a limit."""
    for path in (CGROUP_V2_LIMIT, CGROUP_V1_LIMIT):
        if path.is_file():
            text = path.read_text().strip()
            return None if text == "max" else int(text)
    return None


def body_bytes() -> int:
    """The largest request body by default."""
    limit = memory_limit()
    return LARGEST_BODY if limit is None else max(1, min(LARGEST_BODY, limit // BODY_SHARE))


def settle() -> None:
    """Take what there is by now out of the garbage collector's rounds: it stays, and there is much of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTOR_THRESHOLD, 20, 20)


def give_back() -> None:
    """Give freed memory back to the system: what is freed once a model is made lies between what stays."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # the GNU library has it
        trim(0)
