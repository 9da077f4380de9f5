"""Whether this process should get traffic, and why not."""

from dataclasses import dataclass


@dataclass(slots=True)
class Readiness:
    """Loading until the digest was verified and the model has answered once; draining from SIGTERM on."""

    loaded: bool = False
    draining: bool = False

    @property
    def ready(self) -> bool:
        return self.loaded and not self.draining

    @property
    def reason(self) -> str:
        if self.draining:
            return "the server is shutting down"
        return "ready" if self.loaded else "the model is being loaded"
