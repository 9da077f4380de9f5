"""Real-time priority while a tail is measured, and back to what it was."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.serving.priority import pieces, real_time
from bench.serving.process import Launch, Running


def test_the_server_and_the_client_go_first_for_a_while_where_it_is_allowed() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        running = Running(Launch([], {}, Path(), "", ""), process, time.monotonic())
        before = _policies(process.pid)
        with real_time(running) as allowed:
            assert _policies(process.pid) == ((os.SCHED_FIFO, os.SCHED_FIFO) if allowed else before)
        assert _policies(process.pid) == before
    finally:
        process.communicate(b"\n")


def test_a_run_is_cut_into_pieces_that_real_time_threads_are_given_whole() -> None:
    assert list(pieces(0.5)) == [(0, 0.5)]
    found = list(pieces(2.0))
    assert [number for number, _ in found] == list(range(len(found)))
    assert sum(seconds for _, seconds in found) == 2.0
    assert all(seconds <= 0.95 for _, seconds in found), "sched_rt_runtime_us of 1 s"


def _policies(pid: int) -> tuple[int, int]:
    return os.sched_getscheduler(pid), os.sched_getscheduler(0)
