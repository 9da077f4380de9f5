"""Which service a request is for. The service's own endpoints answer it, as those of a pod with one model would."""

import re
from urllib.parse import unquote

from plimsoll_serving import __version__
from plimsoll_serving.endpoints import Endpoints
from plimsoll_serving.http.message import Request, Respond, Response, error_response, json_response, whole_server
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.pool.host import Host, State
from plimsoll_serving.pool.pool import Pool
from plimsoll_serving.pool.repository import PooledModels
from plimsoll_serving.pool.service import Service
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.repository import RepositoryEndpoints

_MODEL = re.compile(r"(/v[12]/models/)([^/:]+)(.*)", re.DOTALL)
_VERSION = re.compile(r"/versions/([^/:]+)")
_STATELESS = ("/ready", "/feedback", "/v2/health/live", "/v2/health/ready", "/v2", "/v2/models")


class Front:
    """``delegates`` is whether the route is followed (public port), or the primary itself answers (direct port)."""

    def __init__(self, pool: Pool, readiness: Readiness, delegates: bool) -> None:
        self._pool = pool
        self._readiness = readiness
        self._delegates = delegates
        self._repository = RepositoryEndpoints(PooledModels(pool.services), control=True)

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        named = _MODEL.fullmatch(request.path)
        service = self._service(request, unquote(named[2]) if named else None)
        if service is None:
            self._answer_itself(named, request, respond)
            return
        if named and named[2] != service.model:
            request.path, request.kept = f"{named[1]}{service.model}{named[3]}", None
        version = _VERSION.match(named[3]) if named else None
        host = service.of_version(unquote(version[1])) if version else service.primary
        host = host or service.primary
        if host is None:
            respond(_unavailable(f"service {service.name!r} has no version in service yet"))
            return
        self._answer(host, request, respond)

    def _answer(self, host: Host, request: Request, respond: Respond) -> None:
        endpoints = host.public if self._delegates else host.direct
        if host.in_memory or request.path.rstrip("/").endswith(_STATELESS):
            host.used_at = self._pool.residents.now()
            endpoints.handle(request, respond)
            return
        if host.state in (State.WAITING, State.FAILED):
            respond(_unavailable(f"model {host.settings.identity.model!r}: {host.readiness.reason}"))
            return

        def resume(why: str) -> None:
            if host.in_memory:
                handled(endpoints, request, respond)
            else:
                respond(_unavailable(f"model {host.settings.identity.model!r}: {why or host.readiness.reason}"))

        if not self._pool.residents.want(host, resume):
            respond(_unavailable("too many requests wait for the model to be loaded; try again later"))

    def _service(self, request: Request, name: str | None) -> Service | None:
        """By the host that was called, as without a pool; else by the service's or, if only one has it, the model's."""
        services = self._pool.services
        called = services.get((request.header(b"host") or b"").split(b".")[0].split(b":")[0].decode("latin-1"))
        if name is None or (called is not None and name in (called.model, called.name)):
            return called
        if name in services:
            return services[name]
        having = self._pool.by_model.get(name, [])
        return having[0] if len(having) == 1 else None

    def _answer_itself(self, named: re.Match[str] | None, request: Request, respond: Respond) -> None:
        """What no service is asked for."""
        if named:
            respond(self._unknown(unquote(named[2])))
        elif self._repository.owns(request.path):
            self._repository.handle(request, respond)
        else:
            respond(self._pod(request))

    def _unknown(self, name: str) -> Response:
        having = self._pool.by_model.get(name, [])
        if having:
            names = ", ".join(sorted(service.name for service in having))
            return error_response(
                404, f"model {name!r} is served by several services: call one by its host or its name: {names[:200]}"
            )
        return error_response(404, f"model {name[:100]!r} is not served here; /v2/models lists what is")

    def _pod(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        if path == "/v2":
            return json_response(
                200,
                {"name": "plimsoll", "version": __version__, "extensions": ["binary_tensor_data", "model_repository"]},
            )
        if path == "/v2/models":
            return json_response(200, {"models": sorted(self._pool.services)})
        if path == "/v2/health/live":
            return json_response(200, {"live": True})
        if path == "/v2/health/ready":
            ready = self._readiness.ready
            return json_response(200 if ready else 503, {"ready": ready})
        told = f"nothing is served at {request.path[:200]}; /v2/models lists the models"
        return whole_server(request) or error_response(404, told)


def handled(endpoints: Endpoints, request: Request, respond: Respond) -> None:
    """Nobody above would answer when the endpoints raise."""
    try:
        endpoints.handle(request, respond)
    except Exception:
        LOGGER.exception("a request could not be handled", extra={"fields": {"path": request.path}})
        respond(error_response(500, "the server failed on this request; its log has the trace"))


def _unavailable(message: str) -> Response:
    response = error_response(503, message)
    response.headers = [(b"retry-after", b"1")]
    return response
