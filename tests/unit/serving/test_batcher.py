"""The queue before a model: what shares a run, what runs where, and what is refused."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_serving.batcher import INLINE_SECONDS, TURN_SECONDS, Batcher
from plimsoll_serving.codec import InferRequest
from plimsoll_serving.http.limits import Bounds
from plimsoll_serving.http.message import Request, Response, error_response
from plimsoll_serving.jobs import Cost, Job, Result

QUICK, SLOW = INLINE_SECONDS / 1000, INLINE_SECONDS * 100


class Written:
    """A codec that only refuses."""

    def decode(self, request: Request, signature: Any) -> InferRequest:
        raise AssertionError

    def encode(self, answer: Any) -> Response:
        raise AssertionError

    def refuse(self, status: int, message: str) -> Response:
        return error_response(status, message)


class Model:
    """Records each run and where it was; ``held`` makes runs wait."""

    def __init__(self, fixed: float, steady: bool) -> None:
        self.cost = Cost(fixed, fixed / 100)
        self.run_cost = Cost(fixed, fixed / 100) if steady else None
        self.clock = time.perf_counter
        self.runs: list[list[int]] = []
        self.threads: set[str] = set()
        self.held = threading.Event()
        self.held.set()

    def execute(self, batch: list[Job]) -> list[Result]:
        self.threads.add(threading.current_thread().name)
        assert self.held.wait(60)
        self.runs.append([int(job.request.path) for job in batch])
        return [Result(Response(200, job.request.path.encode()), job.rows) for job in batch]


def job(number: int, done: Callable[[Result], None], key: object = "k", rows: int = 1, size: int = 4) -> Job:
    made = Job(Request("POST", str(number), "", [], b"", True), InferRequest(None, {}, []), Written(), done)
    made.key, made.rows, made.size = key, rows, size
    return made


class Bench:
    """A batcher with a model, and the answers by number."""

    def __init__(self, fixed: float = QUICK, inline: bool = True, **bounds: Any) -> None:
        self.model = Model(fixed, inline)
        self.workers = ThreadPoolExecutor(2, thread_name_prefix="worker")
        self.batcher = Batcher(self.model, self.workers, Bounds(**bounds))
        self.answers: dict[int, Result] = {}

    def submit(self, number: int, deadline: float | None = None, **more: Any) -> Job:
        made = job(number, lambda result: self.answers.__setitem__(number, result), **more)
        made.request.deadline = deadline
        self.batcher.submit(made)
        return made

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.answers) < count:  # noqa: ASYNC110 - answers come by callback
                await asyncio.sleep(0.001)

    def status(self, number: int) -> int:
        return self.answers[number].response.status


async def test_what_arrives_in_one_turn_of_the_loop_shares_a_run() -> None:
    bench = Bench()
    for number in range(5):
        bench.submit(number)
    await bench.until(5)
    assert bench.model.runs == [[0, 1, 2, 3, 4]]
    assert bench.model.threads == {threading.current_thread().name}, "a quick model runs on the loop"
    assert all(bench.answers[number].response.body == str(number).encode() for number in range(5))


async def test_where_several_came_those_of_the_next_turn_come_along_and_no_later_ones() -> None:
    bench = Bench()
    bench.submit(0)
    bench.submit(1)
    for number in range(2, 5):
        await asyncio.sleep(0)
        bench.submit(number)
    await bench.until(5)
    assert bench.model.runs == [[0, 1, 2], [3], [4]]


async def test_one_by_itself_waits_for_nobody() -> None:
    bench = Bench()
    for number in range(3):
        bench.submit(number)
        await asyncio.sleep(0)
    await bench.until(3)
    assert bench.model.runs == [[0], [1], [2]]


async def test_an_answer_that_cannot_be_given_costs_its_neighbours_nothing() -> None:
    def fails(_: Result) -> None:
        raise KeyError("a revision that no document names any more")

    bench = Bench()
    bench.batcher.submit(job(7, fails))
    bench.submit(0)
    bench.submit(1)
    await bench.until(2)
    assert bench.model.runs == [[7, 0, 1]]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(1, 6)), min_size=1, max_size=30))
def test_runs_never_mix_keys_nor_exceed_the_bound_and_every_job_is_answered_once(jobs: list[tuple[Any, int]]) -> None:
    async def run() -> None:
        bench = Bench(rows=8)
        for number, (key, rows) in enumerate(jobs):
            bench.submit(number, key=key, rows=rows)
        await bench.until(len(jobs))
        for batch in bench.model.runs:
            assert len({jobs[number][0] for number in batch}) == 1
            assert len(batch) == 1 or (jobs[batch[0]][0] is not None and sum(jobs[n][1] for n in batch) <= 8)
        assert [number for batch in bench.model.runs for number in batch] == list(range(len(jobs)))
        bench.workers.shutdown()

    asyncio.run(run())


@pytest.mark.parametrize(("fixed", "inline", "size"), [(SLOW, True, 4), (QUICK, False, 4), (QUICK, True, 10_000_000)])
async def test_slow_unsteady_and_large_work_stays_off_the_event_loop(fixed: float, inline: bool, size: int) -> None:
    bench = Bench(fixed, inline, queue_seconds=100.0)
    bench.submit(0, size=size)
    await bench.until(1)
    assert all(name.startswith("worker") for name in bench.model.threads)


async def test_what_arrives_while_the_threads_are_busy_makes_the_next_run() -> None:
    bench = Bench(SLOW, queue_seconds=100.0, workers=1)
    bench.model.held.clear()
    bench.submit(0)
    await asyncio.sleep(0.01)
    for number in range(1, 5):
        bench.submit(number)
        await asyncio.sleep(0)
    bench.model.held.set()
    await bench.until(5)
    assert bench.model.runs == [[0], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("fixed", "bounds"), [(SLOW, {"queue": 3, "queue_seconds": 100.0}), (1000.0, {"queue_seconds": 1500.0})]
)
async def test_beyond_the_bounds_of_the_queue_the_answer_is_503_at_once(fixed: float, bounds: dict[str, Any]) -> None:
    bench = Bench(fixed, workers=1, **bounds)
    bench.model.held.clear()
    bench.submit(0)
    await asyncio.sleep(0.01)
    for number in range(1, 300):
        bench.submit(number)
    refused = [number for number, result in bench.answers.items() if result.response.status == 503]
    assert refused and min(refused) > 1
    response = bench.answers[refused[0]].response
    assert int(dict(response.headers)[b"retry-after"]) >= 1
    assert b"requests waiting" in response.body
    bench.model.held.set()
    await bench.until(300)
    assert {bench.status(number) for number in range(300) if number not in refused} == {200}


async def test_nothing_is_computed_for_who_has_gone_or_waits_no_more() -> None:
    bench = Bench(SLOW, workers=1, queue_seconds=100.0)
    bench.model.held.clear()
    bench.submit(0)
    await asyncio.sleep(0.01)
    gone, late, there = (bench.submit(number) for number in (1, 2, 3))
    gone.request.cancelled = True
    late.request.deadline = 0.0
    there.request.deadline = asyncio.get_running_loop().time() + 1000
    bench.model.held.set()
    await bench.until(4)
    assert bench.model.runs == [[0], [3]]
    assert (bench.status(1), bench.status(2), bench.status(3)) == (499, 504, 200)


async def test_whoever_waits_behind_a_long_run_hears_at_its_deadline_and_not_when_its_turn_comes() -> None:
    bench = Bench(SLOW, workers=1, queue_seconds=100.0)
    now = asyncio.get_running_loop().time()
    bench.model.held.clear()
    bench.submit(0)
    await asyncio.sleep(0.01)
    for number, seconds in enumerate((None, 1000.0, 0.1, 0.05), 1):
        bench.submit(number, deadline=None if seconds is None else now + seconds)
    await bench.until(2)
    # In either order: a machine that stands still for long enough ends both at once.
    assert bench.answers.keys() == {3, 4}, "while the run goes on"
    assert (bench.status(3), bench.status(4)) == (504, 504)
    bench.model.held.set()
    await bench.until(5)
    assert bench.model.runs == [[0], [1, 2]]


async def test_whoever_is_told_while_another_is_told_is_told_once() -> None:
    bench = Bench(SLOW, workers=1, queue_seconds=100.0)
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    bench.model.held.clear()
    bench.submit(0)
    await asyncio.sleep(0.01)

    def told(number: int, result: Result) -> None:
        assert number not in bench.answers
        bench.answers[number] = result
        if len(bench.answers) == 1:  # the run ends meanwhile, and what comes next begins another with all that wait
            bench.model.held.set()
            bench.batcher._runs[0].result()
            bench.submit(3)
            time.sleep(TURN_SECONDS)
            bench.submit(4)

    deadline = asyncio.get_running_loop().time() + 0.02
    for number in (1, 2):
        late = job(number, partial(told, number))
        late.request.deadline = deadline
        bench.batcher.submit(late)
    await bench.until(5)
    assert [bench.status(number) for number in range(5)] == [200, 504, 504, 200, 200]
    assert failed == []


async def test_a_window_waits_for_more_rows_but_not_beyond_a_full_run() -> None:
    bench = Bench(window=30.0, rows=4)
    bench.submit(0)
    await asyncio.sleep(0.02)
    assert bench.answers == {}
    for number in range(1, 4):
        bench.submit(number)
    await bench.until(4)
    assert bench.model.runs == [[0, 1, 2, 3]]


def test_the_estimate_follows_the_runs_and_is_not_carried_away_by_one() -> None:
    cost = Cost(0.001, 0.0)
    cost.saw(1, 10.0)
    assert cost.of(1, 1) < 0.002
    for _ in range(200):
        cost.saw(1, 0.005)
    assert cost.of(1, 1) == pytest.approx(0.005, rel=0.01)


async def test_whoever_has_waited_for_longer_than_the_queue_allows_is_refused_when_the_turn_comes() -> None:
    bench = Bench(SLOW, workers=1, queue_seconds=100.0)
    bench.model.held.clear()
    bench.submit(0)
    await asyncio.sleep(0.01)
    old, fresh = bench.submit(1), bench.submit(2)
    old.arrived -= 1000.0
    fresh.arrived -= 50.0
    bench.model.held.set()
    await bench.until(3)
    assert (bench.status(1), bench.status(2)) == (503, 200)
    assert bench.model.runs == [[0], [2]]


async def test_threads_go_on_within_a_turn_of_the_loop_that_refuses_without_end() -> None:
    bench = Bench(SLOW, workers=1, queue=2, queue_seconds=100.0)
    bench.submit(0)
    await asyncio.sleep(0)  # the run begins
    for number in (1, 2):
        bench.submit(number)
    ended = time.monotonic() + 60
    while len(bench.model.runs) < 2 and time.monotonic() < ended:  # no turn ends here
        bench.submit(len(bench.answers) + 3)
        time.sleep(0.001)  # noqa: ASYNC251
    assert bench.model.runs[:2] == [[0], [1, 2]]
    assert bench.status(0) == 200
    bench.workers.shutdown()


async def test_a_full_queue_is_told_before_a_request_is_read() -> None:
    bench = Bench(SLOW, workers=1, queue=2, queue_seconds=100.0)
    bench.model.held.clear()
    bench.submit(0)
    await asyncio.sleep(0.01)
    told = []
    for number in (1, 2, 3):
        told.append(bench.batcher.full)
        bench.submit(number)
    assert told == [False, False, True]
    assert bench.status(3) == 503
    bench.model.held.set()
    await bench.until(4)
