"""Holds back log lines that come again and again, so that a device that flaps does not fill a disk.

One bucket for each message about each line, device, uplink and stream: `BURST` lines go at once, then one in
`EVERY_S`. Of what is held back the last line is kept, and told with the number of those before it (`held_back`) and the
time when it happened, as soon as its bucket allows: the log ends with the present state.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, WrappedLogger

BURST = 10
EVERY_S = 60.0
BUCKETS_MAX = 2_000
"""Of those that were used least recently the rest begin anew."""

SUBJECT = ("line", "device", "uplink", "stream")

Key = tuple[Any, ...]


@dataclass(slots=True)
class _Bucket:
    """`full_at` is when all of its lines may go again, monotonic seconds; each line that goes moves it on."""

    full_at: float
    held: EventDict | None = None
    level: int = logging.INFO
    count: int = 0

    def takes(self, mono: float) -> bool:
        return self.full_at - mono <= (BURST - 1) * EVERY_S


class Limiter:
    """A processor of structlog, to be the first. May be called from any thread."""

    def __init__(self, mono: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._mono = mono
        self._wall = wall
        self._buckets: OrderedDict[Key, _Bucket] = OrderedDict()
        self._lock = Lock()

    def __call__(self, _: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        """The line itself; raises `structlog.DropEvent` where it is held back."""
        with self._lock:
            mono = self._mono()
            bucket = self._bucket(event_dict, mono)
            if not bucket.takes(mono):
                self._hold(bucket, method, event_dict)
                raise structlog.DropEvent
            bucket.full_at = max(bucket.full_at, mono) + EVERY_S
            if bucket.count and "held_back" not in event_dict:
                event_dict["held_back"] = bucket.count
            bucket.held, bucket.count = None, 0
            return event_dict

    def due(self) -> list[tuple[str, EventDict, int]]:
        """What was held back last and may go now: message, fields and level."""
        with self._lock:
            mono = self._mono()
            ready = [bucket for bucket in self._buckets.values() if bucket.held is not None and bucket.takes(mono)]
            return [self._told(bucket) for bucket in ready]

    def _told(self, bucket: _Bucket) -> tuple[str, EventDict, int]:
        assert bucket.held is not None
        fields = dict(bucket.held)
        before, bucket.held, bucket.count = bucket.count - 1, None, 0
        return fields.pop("event"), fields | ({"held_back": before} if before else {}), bucket.level

    def _hold(self, bucket: _Bucket, method: str, event_dict: EventDict) -> None:
        happened = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds")
        # A traceback would keep everything alive that it leads to; the first ones have been told.
        bucket.held = {name: value for name, value in event_dict.items() if name != "exc_info"} | {"happened": happened}
        bucket.level = logging.getLevelNamesMapping().get(method.upper(), logging.ERROR)
        bucket.count += 1

    def _bucket(self, event_dict: EventDict, mono: float) -> _Bucket:
        key = (event_dict.get("event"), *(event_dict.get(name) for name in SUBJECT))
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(mono)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket
