"""Everything that a gRPC port serves."""

from plimsoll_serving.grpc.listener import Methods
from plimsoll_serving.grpc.services import inference, reflection
from plimsoll_serving.grpc.services.health import HealthService
from plimsoll_serving.grpc.services.inference import InferenceService
from plimsoll_serving.http.message import Handler
from plimsoll_serving.readiness import Readiness


def methods(handle: Handler, readiness: Readiness) -> Methods:
    """Methods by path.

    Args:
        handle: answers requests of HTTP on the port of the same kind.
    """
    health = HealthService(readiness, [inference.SERVICE])
    return {**InferenceService(handle).methods(), **health.methods(), **reflection.methods()}
