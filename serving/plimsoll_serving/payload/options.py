"""Settings of the payload log."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plimsoll_serving.errors import SettingsError

if TYPE_CHECKING:
    from plimsoll_serving.settings import Environment

FILE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class PayloadOptions:
    """``share`` of the answers is logged, 0 for none; ``mask`` names tensors and features that are left out.

    ``ca`` is PEM: whose certificates a store may have, beside the public ones.
    """

    share: float = 0.0
    sink: str = ""
    mask: tuple[str, ...] = ()
    file_bytes: int = FILE_BYTES
    http_batch: int = 1
    ca: str = ""

    @classmethod
    def read(cls, env: "Environment") -> "PayloadOptions":
        """Raises SettingsError naming the first variable at fault."""
        options = cls(
            share=env.share("PLIMSOLL_PAYLOAD_LOG"),
            sink=env.text("PLIMSOLL_PAYLOAD_LOG_SINK"),
            mask=tuple(name.strip() for name in env.text("PLIMSOLL_PAYLOAD_LOG_MASK").split(",") if name.strip()),
            file_bytes=env.integer("PLIMSOLL_PAYLOAD_LOG_FILE_BYTES", FILE_BYTES, 4096),
            ca=env.text("PLIMSOLL_PAYLOAD_LOG_CA"),
            http_batch=env.integer("PLIMSOLL_PAYLOAD_LOG_HTTP_BATCH", 1, 1, 1000),
        )
        if options.share and not options.sink:
            raise SettingsError("PLIMSOLL_PAYLOAD_LOG is set, but PLIMSOLL_PAYLOAD_LOG_SINK does not say where to")
        return options
