"""What the journal keeps: opaque bytes with an order, a time and a relative topic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that is not stored yet: it has no epoch and no sequence.

    `time_ms` is when it happened (milliseconds since the epoch, UTC), `topic` is relative to the gateway's root, `body`
    is immutable from here on.
    """

    stream: str
    time_ms: int
    topic: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A stored record. `sequence` is contiguous from 1 in its stream and epoch, `recorded_ms` is when it was stored.

    `durable` is False for all records of a volatile epoch: they could be read before they were on disk.
    """

    stream: str
    epoch: str
    sequence: int
    time_ms: int
    recorded_ms: int
    topic: str
    body: bytes
    durable: bool = True
