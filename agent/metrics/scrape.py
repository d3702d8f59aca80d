"""One scrape: the gateway at a moment, and how the numbers of the table are found in it.

Pure, but for what the kernel counts in /proc.
"""

from __future__ import annotations

import platform
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from agent.events import ClockState
from agent.health import TABLE as CONDITIONS
from config.model import COLOURS, STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agent.histogram import Histogram
    from agent.status import AlarmView, DeviceView, Status, StreamView, UplinkView
    from buffer.journal import Stats

IO = Path("/proc/self/io")
UNACKNOWLEDGED = frozenset({"UNACK", "RTNUN"})
ANSWERING = frozenset({"online", "degraded"})

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Scrape:
    """The gateway at one moment. `alarm_acknowledged` is by uplink, `polls` by line."""

    status: Status
    journal: Stats
    loop_lag: Histogram
    alarm_stored: Histogram
    alarm_acknowledged: Mapping[str, Histogram]
    polls: Mapping[str, Histogram]
    readings: int
    values: int
    inbox: int
    clock_steps: int


Labels = tuple[str, ...]


def one(found: Callable[[Scrape], float]) -> Callable[[Scrape], Iterable[tuple[Labels, float]]]:
    return lambda scrape: [((), found(scrape))]


def devices(found: Callable[[DeviceView], float | None]) -> Callable[[Scrape], Iterable[tuple[Labels, float]]]:
    return lambda scrape: [
        ((device.id, device.line, device.system), value)
        for device in scrape.status.devices
        if (value := found(device)) is not None
    ]


def points(scrape: Scrape) -> Iterator[tuple[Labels, float]]:
    for device in scrape.status.devices:
        yield (device.id, "good"), device.points_good
        yield (device.id, "uncertain"), device.points_uncertain
        yield (device.id, "bad"), device.points_bad


def line_counts(scrape: Scrape) -> Iterator[tuple[Labels, float]]:
    for line in scrape.status.lines:
        for name, count in line.counts.items():
            yield (line.id, name), count


def streams(found: Callable[[StreamView], float]) -> Callable[[Scrape], Iterable[tuple[Labels, float]]]:
    return lambda scrape: [((name,), found(stream)) for name, stream in scrape.status.journal.streams.items()]


def uplinks(found: Callable[[UplinkView], float | None]) -> Callable[[Scrape], Iterable[tuple[Labels, float]]]:
    return lambda scrape: [
        ((uplink.id,), value) for uplink in scrape.status.uplinks if (value := found(uplink)) is not None
    ]


def waiting(scrape: Scrape) -> Iterator[tuple[Labels, float]]:
    for uplink in scrape.status.uplinks:
        for stream in STREAMS:
            yield (uplink.id, stream), uplink.waiting.get(stream, 0)


def oldest(scrape: Scrape) -> Iterator[tuple[Labels, float]]:
    now = epoch_s(scrape.status.now)
    for cursor in scrape.journal.cursors:
        yield (cursor.name,), 0.0 if cursor.oldest_ms is None else max(0.0, now - cursor.oldest_ms / 1000)


def alarms(counts: Callable[[AlarmView], bool]) -> Callable[[Scrape], Iterable[tuple[Labels, float]]]:
    def found(scrape: Scrape) -> Iterable[tuple[Labels, float]]:
        by_colour = Counter(alarm.colour for alarm in scrape.status.alarms if counts(alarm))
        return [((colour,), by_colour[colour]) for colour in COLOURS]

    return found


def called(scrape: Scrape) -> Iterable[tuple[Labels, float]]:
    load = scrape.status.load
    return [(("10min",), load.per_10_min), (("1h",), load.per_hour), (("1d",), load.per_day)]


def called_peak(scrape: Scrape) -> Iterable[tuple[Labels, float]]:
    load = scrape.status.load
    return [(("10min",), load.peak_10_min), (("1h",), load.peak_hour)]


def conditions(scrape: Scrape) -> Iterable[tuple[Labels, float]]:
    held = Counter(condition.code for condition in scrape.status.health)
    return [((code, kind.severity), held[code]) for code, kind in CONDITIONS.items()]


def clock(scrape: Scrape) -> Iterable[tuple[Labels, float]]:
    return [((state,), scrape.status.clock == state) for state in get_args(ClockState)]


def build(scrape: Scrape) -> Iterable[tuple[Labels, float]]:
    status = scrape.status
    return [((status.site, status.gateway, status.version, status.cfg_ver, platform.python_version()), 1)]


def written(_: Scrape) -> Iterator[tuple[Labels, float]]:
    """Nothing where the kernel does not count it."""
    with suppress(OSError):
        counts = dict(line.split(": ") for line in IO.read_text(encoding="ascii").splitlines())
        yield (), float(counts["write_bytes"])


def by_name(found: Callable[[Scrape], Mapping[str, _T]]) -> Callable[[Scrape], Iterable[tuple[Labels, _T]]]:
    return lambda scrape: [((name,), each) for name, each in found(scrape).items()]


def epoch_s(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
