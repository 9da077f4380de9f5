"""The dynamic table of a header decoder (RFC 7541, section 2.3.2)."""

from hpack import HPACKError
from hpack.table import HeaderTable

_SIZE_UPDATES = 2


class WatchedTable(HeaderTable):
    """A dynamic table that tells when it was changed."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = self.resizes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        return self._maxsize

    @maxsize.setter
    def maxsize(self, size: int) -> None:
        self.changes += 1
        self.resizes += 1
        if self.resizes > _SIZE_UPDATES:  # RFC 7541, section 4.2
            raise HPACKError("more than two table size updates in one block")
        HeaderTable.maxsize.fset(self, size)  # type: ignore[attr-defined]
