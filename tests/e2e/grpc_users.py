"""Users of a service who speak gRPC, by the client of its makers, and count as demo/traffic.py does.

The image of the traffic's pod has no gRPC client: these are on this machine, which must reach the cluster's Services.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import numpy as np
from plimsoll import names
from sklearn.datasets import load_digits

from demo.traffic import TIMEOUT_SECONDS, Tally
from tests.e2e.releases import SERVICE, Service
from tests.integration.serving.grpc_client import infer, raw, typed

#: So many callers, each with a connection of its own, and their requests in a second.
CALLERS, RATE = 2, 10.0
#: Each row by itself and eight times, with typed and with raw contents.
FORMS = tuple(itertools.product((typed, raw), (1, 8)))


class Callers:
    """Requests that go on until the block of `users` ends."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._counted = threading.Lock()
        self._over = threading.Event()
        self._tally = Tally()
        self._threads = [threading.Thread(target=self._call, args=(first,), daemon=True) for first in range(CALLERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)

    def report(self) -> dict[str, Any]:
        """See demo/traffic.py's."""
        with self._counted:
            return self._tally.report()

    def _call(self, first: int) -> None:
        """Every row in every form, again and again; callers begin at different ones."""
        rows = load_digits().data.astype(np.float32)
        numbers = itertools.cycle(range(first, len(rows) * len(FORMS), CALLERS))
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self._address, options=options) as opened:
            asked = infer(opened)
            for number in numbers:
                if self._over.wait(1 / RATE):
                    return
                row, form = divmod(number, len(FORMS))
                self._ask(asked, row, FORMS[form], rows[row])

    def _ask(self, asked: Any, row: int, form: tuple[Any, int], values: Any) -> None:
        build, times = form
        request, began = build([values] * times, model_name=SERVICE), time.monotonic()
        try:
            answer = asked(request, timeout=TIMEOUT_SECONDS)
            labels = _labels(answer)
        except grpc.RpcError as error:
            said = f"{error.code().name}: {error.details()}"
        else:
            said = "" if len(labels) == times and len(set(labels)) == 1 else f"{times} equal rows: labels {labels}"
        with self._counted:
            if said:
                self._tally.failures[said] += 1
            else:
                self._tally.answered(answer.model_version, row, str(labels[0]), time.monotonic() - began)


def _labels(answer: Any) -> Sequence[int]:
    number, tensor = next((n, one) for n, one in enumerate(answer.outputs) if one.name == "label")
    if answer.raw_output_contents:
        found: list[int] = np.frombuffer(answer.raw_output_contents[number], np.int64).tolist()
        return found
    return list(tensor.contents.int64_contents)


@contextlib.contextmanager
def users(service: Service) -> Iterator[Callers]:
    """They come while the block runs."""
    address = service.kubernetes.get("service", SERVICE, service.namespace)["spec"]["clusterIP"]
    callers = Callers(f"{address}:{names.PORT_GRPC}")
    callers.start()
    try:
        yield callers
    finally:
        callers.stop()
