"""A gRPC port."""

import asyncio
import math
from collections.abc import Callable, Mapping

from plimsoll_serving.grpc.call import Call, Handler
from plimsoll_serving.grpc.connection import GrpcConnection
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.listener import Listener
from plimsoll_serving.http2.frames import DEFAULT_WINDOW
from plimsoll_serving.http2.limits import STREAM_WINDOW, Http2Limits

Methods = Mapping[bytes, Callable[[Call], Handler]]


class GrpcListener(Listener):
    """Accepts connections of gRPC clients; retires, drains and bounds them like those of HTTP.

    Args:
        methods: makes the handler of a call, by path.
    """

    def __init__(self, methods: Methods, limits: Limits, budget: Budget, life: float = math.inf) -> None:
        super().__init__(_no_handler, limits, budget, life)
        self.methods = methods
        # What waits of a stream whose answers are not taken is not more than one body.
        window = min(STREAM_WINDOW, max(DEFAULT_WINDOW, limits.body_bytes))
        self.http2_limits = Http2Limits(header_bytes=limits.header_bytes, stream_window=window)

    def connect(self) -> asyncio.Protocol:
        return GrpcConnection(self)


def _no_handler(*_: object) -> None:
    raise NotImplementedError("gRPC has methods")
