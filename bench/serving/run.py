"""One run: model by model, server by server, never two servers at once."""

import statistics
from collections import defaultdict
from dataclasses import asdict, dataclass, field

from bench.serving import environments, measure, routing, scenarios
from bench.serving.measure import Plan, Results, Row
from bench.serving.models import MODELS, ModelFile, made
from bench.serving.payloads import WrongAnswer
from bench.serving.process import NotServing, Running, serving
from bench.serving.servers import LIMIT, OURS, Server
from bench.serving.works import Work


@dataclass(frozen=True, slots=True)
class Selection:
    """What is measured. ``limit``: also onnxruntime in process."""

    works: list[Work]
    scenarios: frozenset[str]
    servers: list[Server]
    limit: bool


@dataclass(slots=True)
class Run:
    """A run as it goes."""

    plan: Plan
    selection: Selection
    results: Results = field(default_factory=Results)
    starts: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))


def run(plan: Plan, selection: Selection) -> Row:
    """Everything that was found, as the JSON file has it."""
    print("environments and models (made once)", flush=True)
    for name in [server.name for server in selection.servers if server.name != OURS] + ["tools"]:
        environments.python_of(name, plan.build)
    models = {name: made(name, plan.build) for name in MODELS}
    one = Run(plan, selection)
    for model in models.values():
        _model(one, model)
    try:
        _pairs(one, models["linear"])
    except NotServing as error:
        print(f"  {error}", flush=True)
    one.results.start_up = _start_up(one)
    version = environments.pinned("fastapi", "onnxruntime")
    described = [{"server": s.name, "version": s.version, "settings": s.settings} for s in selection.servers]
    if selection.limit:
        settings = "`InferenceSession.run` in process, one thread, the same rows"
        described.append({"server": LIMIT, "version": version, "settings": settings})
    order = {work.name: place for place, work in enumerate(selection.works)}
    one.results.rows.sort(key=lambda row: order[row["work"]])
    return {"servers": described, **asdict(one.results)}


def _model(one: Run, model: ModelFile) -> None:
    works = [work for work in one.selection.works if work.model == model.name]
    if not works and not _scenarios_of(one, model):
        return
    print(f"{model.name}: {MODELS[model.name][0]}", flush=True)
    if one.selection.limit:
        _limits(one, model, works)
    for server in one.selection.servers:
        folder = (one.plan.build / "run" / server.name).absolute()
        try:
            with serving(server.launch(model, one.plan.build, folder), one.plan.server_core) as running:
                one.starts[server.name].append((running.listening_seconds, running.ready_seconds))
                _works(one, server, running, model, works)
                _alone(one, server, running, model)
        except NotServing as error:
            print(f"  {error}", flush=True)
            for work in works:
                one.results.leave_out(work, server, "it did not start")


def _limits(one: Run, model: ModelFile, works: list[Work]) -> None:
    """One figure for each number of rows: the protocol and the connections do not exist in process."""
    version = environments.pinned("fastapi", "onnxruntime")
    known: dict[int, Row] = {}
    for work in works:
        if work.rows not in known:
            known[work.rows] = measure.limit_row(one.plan, version, model, work)
            print(measure.told(known[work.rows]), flush=True)
        one.results.rows.append({**known[work.rows], "work": work.name})


def _works(one: Run, server: Server, running: Running, model: ModelFile, works: list[Work]) -> None:
    for work in works:
        if work.protocol not in server.protocols:
            one.results.leave_out(work, server, "does not speak it")
            continue
        try:
            row = measure.timed_row(one.plan, server, running, model, work)
        except WrongAnswer as error:
            one.results.leave_out(work, server, f"failed the check of its answer: {error}")
            continue
        if not row["requests_per_second"]:
            one.results.leave_out(work, server, f"no good answer in {one.plan.seconds} s ({row['errors']} errors)")
            continue
        print(measure.told(row), flush=True)
        one.results.rows.append(row)


def _scenarios_of(one: Run, model: ModelFile) -> list[str]:
    """Scenarios with one process of every server."""
    wanted = {"half-load": scenarios.HALF.model, "overload": scenarios.OVERLOAD.model}
    return [name for name, needed in wanted.items() if needed == model.name and name in one.selection.scenarios]


def _alone(one: Run, server: Server, running: Running, model: ModelFile) -> None:
    for name in _scenarios_of(one, model):
        half = name == "half-load"
        work = scenarios.HALF if half else scenarios.OVERLOAD
        capacity = one.results.rate(work.name, server.name)
        if capacity is None:
            capacity = float(measure.timed_row(one.plan, server, running, model, work)["requests_per_second"])
        if not capacity:
            one.results.leave_out(work, server, f"no answer at all, so no {name}")
            continue
        scenario = scenarios.half_load if half else scenarios.overload
        row = scenario(one.plan, running, model, server.name, capacity)
        (one.results.half_load if half else one.results.overload).append(row)
        print(f"  {name:32} {server.name:10} p99 {row['p99_ms']:.2f} ms, {row['errors']} errors", flush=True)


def _pairs(one: Run, model: ModelFile) -> None:
    """Scenarios with two processes of this server."""
    wanted = one.selection.scenarios & {"routing", "hot-swap"}
    if not wanted or all(server.name != OURS for server in one.selection.servers):
        return
    print("two processes: routing, swap", flush=True)
    one.results.routing = routing.routing(one.plan, model)
    ways = {row["way"]: row for row in one.results.routing}
    for name, row in ways.items():
        print(f"  {name:40} {row['requests_per_second']:>10,.0f}/s  {row['cpu_us_per_request']:.0f} µs CPU", flush=True)
    if "hot-swap" in wanted:
        rate = ways[routing.DELEGATED]["requests_per_second"]
        one.results.hot_swap = swap = scenarios.hot_swap(one.plan, model, rate)
        print(f"  swapping: p99 {swap['swapping_p99_ms']} ms, {swap['errors']} errors", flush=True)


def _start_up(one: Run) -> list[Row]:
    """Median of the starts of this run: one for each model."""
    median = statistics.median
    return [
        {
            "server": name,
            "listening_seconds": round(median(listening for listening, _ in seconds), 3),
            "ready_seconds": round(median(ready for _, ready in seconds), 3),
            "starts": len(seconds),
        }
        for name, seconds in one.starts.items()
    ]
