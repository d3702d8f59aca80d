"""What was read once, in the order of time: from a journal's file, from JSON Lines, from CSV.

A file is what `wardgate journal export` writes, or has a row with time, device, point and value for each sample.
"""

from __future__ import annotations

import csv
import heapq
from datetime import datetime
from itertools import count, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, get_args
from zoneinfo import ZoneInfo

import msgspec

from agent.events import DEVICE_STATE, TELEMETRY_BATCH, DeviceCondition, QualityName, Value
from agent.history import BEGUN_S_MAX, LATE_S_MAX
from buffer.archive import past
from drivers.contract import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from buffer.reader import Damaged
    from config.model import PointType

EVENT = b'"specversion"'
EXAMPLE_JSON = '{"time": "2026-11-21T10:00:00Z", "device": "lv-main", "point": "u_ab", "value": 398.2}'
EXAMPLE_CSV = "time,device,point,value and 2026-11-21T10:00:00Z,lv-main,u_ab,398.2"
REASONS: tuple[str, ...] = get_args(Reason)
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class Unusable(Exception):
    """The input cannot be played; says where, why, and what to write instead."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """One value of one point, `dt` milliseconds after the beginning of its batch."""

    p: str
    v: Value
    q: QualityName = "good"
    qr: str = "ok"
    dt: int = 0


Item = tuple[float, int, str, list[Told] | DeviceCondition]
"""When (epoch seconds), a number that keeps the order, the device, and what it said or which state it came to."""


class _Batch(msgspec.Struct):
    device: str
    t0: str
    samples: list[Told]


class _State(msgspec.Struct):
    device: str
    state: DeviceCondition


class _Envelope(msgspec.Struct):
    type: str
    data: msgspec.Raw


class _Moment(msgspec.Struct):
    time: str


class _Row(msgspec.Struct):
    """A line of JSON Lines that is not an event."""

    time: str | float
    device: str
    point: str
    value: Value
    quality: QualityName = "good"
    reason: str = "ok"


_envelope = msgspec.json.Decoder(_Envelope).decode
_batch = msgspec.json.Decoder(_Batch).decode
_state = msgspec.json.Decoder(_State).decode
_moment = msgspec.json.Decoder(_Moment).decode
_row = msgspec.json.Decoder(_Row).decode


def of_journal(path: Path, from_s: float, to_s: float, on_damaged: Callable[[Damaged], None]) -> Iterator[Item]:
    """Telemetry and the states of devices, from a journal in use or not. Raises `JournalError`."""
    order = count()

    def stream(name: str, begin_s: float) -> Iterator[Item]:
        records = past(path, [name], round(begin_s * 1000), round(to_s * 1000), on_damaged)
        for record in records:
            yield from _of_event(record.body, record.time_ms / 1000, order)

    merged = heapq.merge(ordered(stream("state", from_s)), ordered(stream("telemetry", from_s - BEGUN_S_MAX)))
    return (item for item in merged if from_s <= item[0] < to_s)


def of_file(
    path: Path, from_s: float, to_s: float, kinds: Mapping[tuple[str, str], PointType], zone: str
) -> Iterator[Item]:
    """The same from a file; a time without a zone is meant in `zone`. Raises `Unusable` and `OSError`."""
    read = _csv if path.suffix == ".csv" else _json_lines
    order = count()
    # Twice, because an export has one stream after the other.
    both = [ordered(read(path, order, _Reader(kinds, zone), states=states)) for states in (True, False)]
    return gathered(item for item in heapq.merge(*both) if from_s <= item[0] < to_s)


def ordered(items: Iterable[Item]) -> Iterator[Item]:
    """By time, from what is at most `LATE_S_MAX` out of order. Raises `Unusable` where it is more."""
    held: list[Item] = []
    given = newest = float("-inf")
    for item in items:
        if item[0] < given:
            raise Unusable(f"time goes back by more than {LATE_S_MAX:.0f} s for {item[2]}; sort the input by time")
        heapq.heappush(held, item)
        newest = max(newest, item[0])
        while held[0][0] < newest - LATE_S_MAX:
            given = held[0][0]
            yield heapq.heappop(held)
    while held:
        yield heapq.heappop(held)


def _of_event(body: bytes | msgspec.Raw, time_s: float, order: Iterator[int]) -> Iterator[Item]:
    event = _envelope(body)
    if event.type.endswith(TELEMETRY_BATCH):
        yield from _of_batch(_batch(event.data), order)
    elif event.type.endswith(DEVICE_STATE):
        change = _state(event.data)
        yield time_s, next(order), change.device, change.state


def _of_batch(batch: _Batch, order: Iterator[int]) -> Iterator[Item]:
    """What was read at once is one item."""
    begin_s, told = datetime.fromisoformat(batch.t0).timestamp(), batch.samples
    if told and told[0].dt == told[-1].dt:
        yield begin_s + told[0].dt / 1000, next(order), batch.device, told
        return
    for dt, together in groupby(told, key=attrgetter("dt")):
        yield begin_s + dt / 1000, next(order), batch.device, list(together)


class _Reader:
    """Reads times and values as people write them."""

    def __init__(self, kinds: Mapping[tuple[str, str], PointType], zone: str) -> None:
        self._kinds = kinds
        self._zone = ZoneInfo(zone)
        self._last: tuple[str | float, float] = ("", 0.0)

    def time(self, text: str | float) -> float:
        """Raises `ValueError`."""
        if text != self._last[0]:
            self._last = text, self._time(text)
        return self._last[1]

    def _time(self, text: str | float) -> float:
        if isinstance(text, float):
            return text
        try:
            return float(text)
        except ValueError:
            moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).timestamp()

    def value(self, device: str, point: str, text: str) -> Value:
        """Raises `ValueError`."""
        kind = self._kinds.get((device, point))
        if not text or kind is None:
            return None
        if kind == "bool":
            if text.lower() not in TRUTHS:
                raise ValueError(f"{text!r} is neither true nor false")
            return TRUTHS[text.lower()]
        number = float(text) if kind in ("number", "integer") else 0.0
        return text if kind in ("enum", "string") else int(number) if kind == "integer" else number


def _json_lines(path: Path, order: Iterator[int], reader: _Reader, *, states: bool) -> Iterator[Item]:
    """Events of the kind that is asked for; rows are samples."""
    mark = DEVICE_STATE.encode()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if (mark in line) is not states or not line.strip():
                continue
            try:
                if EVENT in line:
                    yield from _of_event(line, reader.time(_moment(line).time), order)
                else:
                    row = _row(line)
                    told = Told(row.point, row.value, row.quality, _reason(row.reason))
                    yield reader.time(row.time), next(order), row.device, [told]
            except (msgspec.MsgspecError, ValueError) as error:
                raise Unusable(f"{path}:{number}: {error}; write {EXAMPLE_JSON}") from error


def _csv(path: Path, order: Iterator[int], reader: _Reader, *, states: bool) -> Iterator[Item]:
    """Rows of samples, or those of an export that are states."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines)
        place = {name: at for at, name in enumerate(next(rows, []))}
        if not place.keys() >= {"time", "point", "value"} or not place.keys() & {"device", "subject"}:
            raise Unusable(
                f"{path}:1: the first line names no columns time, device, point and value; write {EXAMPLE_CSV}"
            )
        at_time, at_point, at_value = place["time"], place["point"], place["value"]
        at_device, at_quality = place.get("device", place.get("subject", 0)), place.get("quality")
        at_reason = place.get("reason")
        at_type, at_data = place.get("type"), place.get("data", 0)
        for row in rows:
            try:
                is_state = at_type is not None and row[at_type].endswith(DEVICE_STATE)
                if is_state is not states or not (row[at_point] or is_state):
                    continue
                time_s, device = reader.time(row[at_time]), row[at_device].rpartition("/")[2]
                if is_state:
                    yield time_s, next(order), device, _state(row[at_data]).state
                else:
                    value = reader.value(device, row[at_point], row[at_value])
                    quality = _quality(row[at_quality] if at_quality is not None else "", value)
                    reason = _reason(row[at_reason] if at_reason is not None else "")
                    yield time_s, next(order), device, [Told(row[at_point], value, quality, reason)]
            except (ValueError, IndexError, msgspec.MsgspecError) as error:
                raise Unusable(f"{path}:{rows.line_num}: {error}; write {EXAMPLE_CSV}") from error


def _quality(text: str, value: Value) -> QualityName:
    """Raises `ValueError`. What is not there is not good."""
    match text:
        case "good" | "":
            return "good" if value is not None else "bad"
        case "uncertain" | "bad":
            return text
    raise ValueError(f"{text!r} is no quality; there are good, uncertain and bad")


def _reason(text: str) -> str:
    """Raises `ValueError`: one that is misspelt would be taken for a value that may be judged."""
    if text and text not in REASONS:
        raise ValueError(f"{text!r} is no reason; there are {', '.join(REASONS)}")
    return text or "ok"


def gathered(items: Iterable[Item]) -> Iterator[Item]:
    """What one device said at one time is one item, as it was read."""
    held: Item | None = None
    for item in items:
        if held is not None:
            if held[0] == item[0] and held[2] == item[2] and isinstance(held[3], list) and isinstance(item[3], list):
                held[3].extend(item[3])
                continue
            yield held
        held = item
    if held is not None:
        yield held
