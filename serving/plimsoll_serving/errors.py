"""Errors with a meaning for the caller: each carries what to answer or how to exit."""

MAX_MESSAGE = 500


class SettingsError(Exception):
    """The environment is unusable; the message names the variable and the remedy."""


class ArtifactError(Exception):
    """The artifact is not what was asked for, or cannot be served; the message says which and why."""


class FetchError(Exception):
    """The artifact cannot be read now; trying again may help. The message says what to look at."""


class RequestError(Exception):
    """A request that is answered with an error of the client (4xx).

    Args:
        message: a sentence that names the field at fault and what is expected.
        status: HTTP status code.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        # Names given by the caller are repeated in messages, but not at any length.
        self.message = message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…"
        self.status = status


class ModelError(Exception):
    """The model raised while it computed an answer (500); the process itself is sound."""
