"""What was worked out last, kept so that it need not be worked out again; never more than so much of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The `most` values that were kept last. It only saves time: whoever finds nothing works it out anew."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> Value | None:
        """What was kept, or None."""
        return self._kept.get(key)

    def keep(self, key: Key, value: Value) -> Value:
        """The value, from now on the last to be forgotten."""
        self._kept.pop(key, None)
        self._kept[key] = value
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return value
