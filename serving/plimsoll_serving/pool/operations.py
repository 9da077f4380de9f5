"""The port of the operator and of kubelet: metrics by revision, probes, and what each service does."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qs

from plimsoll_serving import build
from plimsoll_serving.families import CounterFamily, Family, GaugeFamily, exposition
from plimsoll_serving.http.message import Request, Respond, Response, error_response, json_response, method_not_allowed
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.operations import TEXT_FORMAT
from plimsoll_serving.pool.host import Host
from plimsoll_serving.pool.pool import Pool
from plimsoll_serving.pool.service import Service
from plimsoll_serving.process import ProcessMetrics
from plimsoll_serving.readiness import Readiness


class PoolMetrics:
    """Every series of the pod, or those of some revisions (and of the process) only."""

    def __init__(self, pool: Pool, revisions: Iterable[str] = ()) -> None:
        self._pool = pool
        self._revisions = frozenset(revisions)
        self._process = ProcessMetrics()

    def collect(self) -> Iterator[Family]:
        families = [family for service in list(self._pool.services.values()) for family in self.of(service)]
        yield from merged([*families, *self.common()])

    def of(self, service: Service) -> Iterator[Family]:
        """The series of one service."""
        if not self._wants(service.hosts):
            return
        hosts = [host for host in service.hosts.values() if self._wants([host.revision])]
        for host in hosts:
            yield from host.metrics.own()
        yield from service.arms.collect()
        yield _states(hosts)

    def common(self) -> Iterator[Family]:
        """The series of the pod, and the name of those that there are only with a service."""
        yield build.info()
        yield _states(())
        yield from self._memory()
        yield from self._process.collect()

    def _wants(self, revisions: Iterable[str]) -> bool:
        return not self._revisions or not self._revisions.isdisjoint(revisions)

    def _memory(self) -> Iterator[Family]:
        residents = self._pool.residents
        bytes_ = GaugeFamily(
            "plimsoll_pool_memory_bytes", "What models in memory are taken to have, and may have.", labels=("kind",)
        )
        bytes_.add(("used",), residents.used)
        bytes_.add(("budget",), residents.budget)
        loads = CounterFamily("plimsoll_pool_loads", "Models brought into memory.")
        loads.add((), residents.loads)
        evictions = CounterFamily("plimsoll_pool_evictions", "Models put out of memory to make room.")
        evictions.add((), residents.evictions)
        yield from (bytes_, loads, evictions)


class _Read:
    """What was collected already."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        yield from merged(self._families)


def _states(hosts: Iterable[Host]) -> Family:
    states = GaugeFamily(
        "plimsoll_model_state",
        "How far the pod is with a revision, and why no further.",
        labels=("model", "version", "revision", "state", "reason"),
    )
    for host in hosts:
        me = host.settings.identity
        states.add((me.model, me.version, me.revision, host.state.value, host.reason), 1)
    return states


def merged(families: Iterable[Family]) -> Iterator[Family]:
    """Each family once; samples with the same labels (two services of one model) are added up."""
    found: dict[str, Family] = {}
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
    for family in families:
        samples, family.samples = family.samples, []
        into = found.setdefault(family.name, family)
        for sample in samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            if key in sums:
                into.samples[sums[key]] = sample._replace(value=into.samples[sums[key]].value + sample.value)
            else:
                sums[key] = len(into.samples)
                into.samples.append(sample)
    yield from found.values()


class PoolOperations:
    """``/metrics``, ``/healthz``, ``/readyz`` and ``/route``."""

    def __init__(self, pool: Pool, readiness: Readiness) -> None:
        self._pool = pool
        self._readiness = readiness
        self._tasks: set[asyncio.Task[None]] = set()
        self._paths: dict[str, Callable[[Request], Response]] = {
            "/metrics": self._metrics,
            "/healthz": lambda _: json_response(200, {"live": True}),
            "/readyz": self._ready,
            "/route": self._route,
        }

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        answer = self._paths.get(request.path)
        if answer is None:
            respond(
                error_response(404, f"nothing is served at {request.path[:200]}; here are {', '.join(self._paths)}")
            )
        elif request.method not in ("GET", "HEAD"):
            respond(method_not_allowed(request.method, request.path, "GET, HEAD"))
        elif request.path == "/metrics" and "revision[]" not in parse_qs(request.query):
            task = asyncio.get_running_loop().create_task(self._everything(request, respond))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            respond(answer(request))

    async def _everything(self, request: Request, respond: Respond) -> None:
        """Series of hundreds of models: read service by service, written in a thread, so that no request waits."""
        names, metrics = parse_qs(request.query).get("name[]", []), PoolMetrics(self._pool)
        families: list[Family] = []
        for service in list(self._pool.services.values()):
            families += metrics.of(service)
            await asyncio.sleep(0)
        families += metrics.common()
        try:
            text = await asyncio.to_thread(exposition, _Read(families), names)
        except Exception:
            LOGGER.exception("the metrics could not be written")
            respond(error_response(500, "the metrics could not be written; the log has the trace"))
            return
        respond(Response(200, text, TEXT_FORMAT))

    def _metrics(self, request: Request) -> Response:
        asked = parse_qs(request.query)
        metrics = PoolMetrics(self._pool, asked.get("revision[]", []))
        return Response(200, exposition(metrics, asked.get("name[]", [])), TEXT_FORMAT)

    def _ready(self, _: Request) -> Response:
        """For kubelet; a pod that drains says yes, as one with a single model does."""
        serves = self._readiness.loaded
        reason = self._readiness.reason if serves else "models are being fetched and tried"
        return json_response(200 if serves else 503, {"ready": serves, "reason": reason})

    def _route(self, request: Request) -> Response:
        """Of the services named in ``service[]``, else of all."""
        asked = parse_qs(request.query).get("service[]") or sorted(self._pool.services)
        known = [self._pool.services[name] for name in asked if name in self._pool.services]
        return json_response(200, {"services": {service.name: _told(service) for service in known}})


def _told(service: Service) -> dict[str, object]:
    route = service.routing.route
    return {
        "epoch": service.epoch,
        "blind": bool(route and route.blind_after is not None and time.time() > route.blind_after),
        "breakersOpen": service.delegate.open_breakers(),
        "revisions": {
            name: {"state": host.state.value, "reason": host.reason, "inMemory": host.in_memory, "bytes": host.size}
            for name, host in service.hosts.items()
        },
        "document": route.document if route else None,
    }
