"""A cache of frame indexes and the like, kept between reads."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class ReadCache:
    """What was used last, as much as fits. Thread-safe.

    One belongs to each reader of many videos. It holds the frame index of a file (`VideoFile`,
    `FrameFolder`) or that a record is sound (`PackedVideo`), under a key that changes with the
    file.

    Args:
        limit: bytes. The default holds the indexes of all of UCF-101 three times over.

    Example:

    >>> cache = ReadCache(limit=20)
    >>> for name in "abc":
    ...     cache.put(name, name.upper(), nbytes=8)
    >>> cache.get("a"), cache.get("c")
    (None, 'C')
    """

    def __init__(self, limit: int = 2**26):
        self._limit = limit
        self._held = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Any:
        """The value of a key, None where there is none."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Any, nbytes: int = 64) -> None:
        """Keeps a value, and drops those not used for longest. The newest one always stays."""
        with self._lock:
            _, old = self._values.pop(key, (None, 0))
            self._values[key] = value, nbytes
            self._held += nbytes - old
            while self._held > self._limit and len(self._values) > 1:
                self._held -= self._values.popitem(last=False)[1][1]
