"""The failures that a verb tells apart, because their exit codes and remedies differ."""


class UserError(Exception):
    """The user's mistake: exit code 2, never repeated. The message names the field and the remedy."""

    def __init__(self, message: str, reason: str = "InvalidParameters") -> None:
        super().__init__(message)
        self.reason = reason


class ModelRejectedError(Exception):
    """The model may not become a version. The message is the sentence that `result.json` gives as its reason."""


class StoreError(Exception):
    """The store or a download failed after retries: exit code 1, repeated. Holds no secrets."""


class ObjectMissingError(StoreError):
    """The object is not there."""
