"""Judges that are real HTTP servers, and custom queries to the real Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from plimsoll.edge.outward import Outward
from plimsoll.edge.sources import Sources
from plimsoll.facts import Endpoint, External, Settings

from tests.integration.sources.conftest import NAMESPACE, Served

DOCUMENT = {"formatVersion": 1, "window": {"index": 1}}


class JudgeServer:
    """Keeps what it was sent and answers `says`."""

    def __init__(self) -> None:
        self.says: Any = {"verdict": "Pass"}
        self.status = 200
        self.seconds = 0.0
        self.asked: list[Any] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        await asyncio.sleep(self.seconds)
        return web.json_response(self.says, status=self.status)


@pytest.fixture
async def judged() -> AsyncIterator[tuple[JudgeServer, str]]:
    server, app = JudgeServer(), web.Application()
    app.router.add_post("/judge", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}/judge"
    await runner.cleanup()


async def ask(outward: Outward, url: str, seconds: float = 30.0) -> External:
    sources = Sources(outward, Settings(), time.time)
    return (await sources.judge({"judge/x": (Endpoint(url, NAMESPACE, seconds), DOCUMENT)}))["judge/x"]


async def test_the_answer_of_a_judge_is_taken_in_one_printable_line(
    outward: Outward, judged: tuple[JudgeServer, str]
) -> None:
    server, url = judged
    server.says = {"verdict": "Fail", "reason": "group B\n\x1b[31m is declined " + "x" * 300}
    said = await ask(outward, url)
    assert said.answer == "Fail" and said.reason.startswith("group B [31m is declined xxx")
    assert len(said.reason) == 200
    assert server.asked == [DOCUMENT]


@pytest.mark.parametrize(
    ("says", "status", "gap"),
    [
        ({"verdict": "Maybe"}, 200, 'invalid: the answer has no "verdict" of Pass, Fail, Inconclusive'),
        ([1], 200, 'invalid: the answer has no "verdict" of Pass, Fail, Inconclusive'),
        ({"verdict": "Pass"}, 500, "answers HTTP 500"),
        ({"verdict": "Pass"}, 401, "refused: "),
    ],
)
async def test_no_proper_answer_is_never_a_pass(
    outward: Outward, judged: tuple[JudgeServer, str], says: Any, status: int, gap: str
) -> None:
    server, url = judged
    server.says, server.status = says, status
    said = await ask(outward, url)
    assert said.answer == "" and said.gap is not None and gap in said.gap


async def test_a_judge_that_takes_too_long_is_slow(outward: Outward, judged: tuple[JudgeServer, str]) -> None:
    server, url = judged
    server.seconds = 60.0
    said = await ask(outward, url, 0.3)
    assert said.gap is not None and said.gap.startswith("slow: ")


async def test_a_custom_query_reads_the_counters_as_they_are(outward: Outward, served: Served) -> None:
    sources = Sources(outward, Settings(), time.time)
    query = 'sum by (revision) (plimsoll_arm_requests_total{pod="a",revision="r2"})'
    queries = {"m": {"candidate/events": query}, "bad": {"candidate/events": "sum("}}
    found = await sources.custom(served.source(), queries)
    assert found["m"].gap is None and len(found["m"].values["candidate/events"]) == 1
    assert found["bad"].gap is not None and found["bad"].gap.startswith("invalid: ")
