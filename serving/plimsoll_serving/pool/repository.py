"""The repository of a pod with many models: what its documents name. A model is loaded by whoever asks for it."""

from collections.abc import Mapping

from plimsoll_serving.errors import RequestError
from plimsoll_serving.pool.host import State
from plimsoll_serving.pool.service import Service
from plimsoll_serving.repository import READY, Entry

_STATES = {State.READY: READY, State.FAILED: "UNAVAILABLE"}


class PooledModels:
    """By the names that they are called by, those of the services, as ``/v2/models`` has them."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = services

    def index(self) -> list[Entry]:
        return [_entry(service) for _, service in sorted(self._services.items())]

    def load(self, name: str) -> None:
        self._refuse(name)

    def unload(self, name: str) -> None:
        self._refuse(name)

    def _refuse(self, name: str) -> None:
        if name not in self._services:
            raise RequestError(f"model {name[:100]!r} is not served here; /v2/models lists what is", 404)
        raise RequestError(
            "a pool loads a model with its first request and puts it out for want of room: just ask", 403
        )


def _entry(service: Service) -> Entry:
    host = service.primary
    if host is None:
        return Entry(service.name, "", "UNAVAILABLE", "no version is in service yet")
    state = _STATES.get(host.state, "LOADING")
    return Entry(service.name, host.settings.identity.version, state, "" if state == READY else host.readiness.reason)
