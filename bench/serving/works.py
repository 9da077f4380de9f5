"""What is measured: each work is one request, sent over and over by a number of connections."""

from dataclasses import dataclass
from enum import StrEnum


class Protocol(StrEnum):
    JSON = "json"
    BINARY = "binary"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Work:
    """``rows`` of ``model`` in one request, from ``connections`` connections with one request in flight each."""

    protocol: Protocol
    rows: int
    connections: int
    model: str = "linear"

    @property
    def name(self) -> str:
        """`v2-json-32rows-c16`; models other than the first are named at the end."""
        rows = "1row" if self.rows == 1 else f"{self.rows}rows"
        model = "" if self.model == "linear" else f"-{self.model}"
        return f"v2-{self.protocol}-{rows}-c{self.connections}{model}"


WORKS = (
    Work(Protocol.JSON, 1, 16),
    Work(Protocol.JSON, 1, 64),
    Work(Protocol.JSON, 32, 16),
    Work(Protocol.BINARY, 1, 16),
    Work(Protocol.BINARY, 32, 16),
    Work(Protocol.GRPC, 1, 16),
    Work(Protocol.JSON, 1, 16, "mlp"),
    Work(Protocol.JSON, 1, 16, "forest"),
    Work(Protocol.JSON, 32, 16, "forest"),
    Work(Protocol.JSON, 1, 16, "embedding"),
    Work(Protocol.BINARY, 1, 16, "embedding"),
)
