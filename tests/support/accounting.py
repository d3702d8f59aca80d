"""What a receiver's own file proves: nothing missing, nothing twice with two meanings, nothing invented.

Works on the file of `receiver` alone, beside the log of what the field served. Knows the events as a consumer knows
them, by their JSON; a fault is one sentence, no faults is an empty list.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from agent.schemas import projection_schema, record_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

TYPE_PREFIX = "wardgate."
STREAM_BEGIN = "stream.begin.v1"

CLOCKS_S = 0.1
"""The truth notes when a reply leaves, the gateway when it has come; both on this machine."""

PointKey = tuple[str, str]
"""Device and point."""

LaneKey = tuple[str, str]
"""Epoch and stream."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it came; `time` is seconds since the epoch at the receiver, `order` its place among all."""

    order: int
    time: float
    topic: str
    retain: bool
    payload: str
    event: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.event["type"]).removeprefix(TYPE_PREFIX)

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.event["data"]
        return data

    @property
    def lane(self) -> LaneKey:
        return self.event["epoch"], str(self.event["source"]).rpartition("/")[2]

    @property
    def sequence(self) -> int:
        return int(self.event["sequence"])


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one point. `time` is seconds since the epoch, of the gateway."""

    time: float
    value: Any
    quality: str
    reason: str


@dataclass(slots=True)
class Account:
    """Records by lane and sequence, each once; how many came again; what is wrong with them."""

    lanes: dict[LaneKey, dict[int, Arrival]] = field(default_factory=lambda: defaultdict(dict))
    duplicates: int = 0
    faults: list[str] = field(default_factory=list)

    def records(self, stream: str) -> list[Arrival]:
        """Of one stream, oldest first."""
        lanes = [self.lanes.get((epoch, stream), {}) for epoch in self.epochs()]
        return [records[sequence] for records in lanes for sequence in sorted(records)]

    def epochs(self) -> list[str]:
        """The oldest first, as their first records name the epoch before; what is newest may well have come first."""
        began = [one for lane in self.lanes.values() for one in lane.values() if one.type == STREAM_BEGIN]
        previous: dict[str, str | None] = {one.lane[0]: one.data["prev_epoch"] for one in began}
        order: dict[str, None] = {}
        for each, _ in self.lanes:
            chain: dict[str, None] = {}
            epoch: str | None = each
            while epoch is not None and epoch not in order and epoch not in chain:
                chain[epoch] = None
                epoch = previous.get(epoch)
            order.update(dict.fromkeys(reversed(chain)))
        return list(order)

    def alarms(self) -> list[dict[str, Any]]:
        """The bodies of all alarm transitions, stream by stream."""
        transitions = [*self.records("critical"), *self.records("alarm")]
        return [arrival.data for arrival in transitions if arrival.type == "alarm.transition.v1"]


def arrivals(file: Path) -> list[Arrival]:
    """What the file holds, in the order of arrival."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [
        Arrival(order, line["t"], line["topic"], line["retain"], line["payload"], json.loads(line["payload"]))
        for order, line in enumerate(lines)
        if line["payload"]
    ]


def account(came: Iterable[Arrival], last: Mapping[LaneKey, int] | None = None) -> Account:
    """Gaps and duplicates. `last` is the gateway's own account: the last sequence of each stream of each epoch.

    Without it nobody is asked what should be there.
    """
    found = Account()
    for arrival in came:
        if "sequence" in arrival.event:
            _enter(found, arrival)
    if last is not None:
        for lane in dict.fromkeys([*last, *found.lanes]):
            found.faults += _missing(lane[1], found.lanes.get(lane, {}), last.get(lane, 0))
    found.faults += _alarm_faults(found.alarms())
    return found


def _enter(found: Account, arrival: Arrival) -> None:
    epoch, stream = arrival.lane
    if not arrival.event["id"].endswith(f"-{epoch}-{stream}-{arrival.sequence:016d}"):
        found.faults.append(f"{arrival.event['id']} does not name its epoch, stream and sequence")
    known = found.lanes[arrival.lane].setdefault(arrival.sequence, arrival)
    if known is not arrival:
        found.duplicates += 1
        if (known.payload, known.topic) != (arrival.payload, arrival.topic):
            found.faults.append(f"{arrival.event['id']} came twice with different contents")


def _missing(stream: str, have: Iterable[int], last: int) -> list[str]:
    absent = sorted(set(range(1, last + 1)).difference(have))
    beyond = sorted(sequence for sequence in have if sequence > last)
    faults = [f"{stream}: {len(absent)} of {last} never arrived, such as {absent[:5]}"] if absent else []
    return faults + ([f"{stream}: {beyond[:5]} arrived beyond the gateway's own last, {last}"] if beyond else [])


def _alarm_faults(transitions: Iterable[dict[str, Any]]) -> list[str]:
    """Within an occurrence: numbered from 1, raised once and first, ended at most once and last."""
    occurrences: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for transition in transitions:
        occurrences[transition["occurrence_id"]].append(transition)
    faults = []
    for name, story in occurrences.items():
        actions = [transition["action"] for transition in story]
        if [transition["n"] for transition in story] != list(range(1, len(story) + 1)):
            faults.append(f"{name}: numbers do not count from 1")
        if actions.count("raise") != 1 or actions[0] != "raise":
            faults.append(f"{name}: not raised once and first: {actions}")
        if any(transition["ended"] for transition in story[:-1]):
            faults.append(f"{name}: goes on after its end: {actions}")
    return faults


def schema_faults(came: Iterable[Arrival]) -> list[str]:
    """Everything that came, against the schemas that the gateway publishes."""
    return [
        f"{arrival.event['id']}: {error.json_path}: {error.message}"
        for arrival in came
        for error in _validator(arrival.type, "sequence" in arrival.event).iter_errors(_each_kind_once(arrival))
    ]


def _each_kind_once(arrival: Arrival) -> dict[str, Any]:
    """A batch with one sample of each kind: to a schema, samples that differ in point, time and number are equal."""
    if "samples" not in arrival.data:
        return arrival.event
    kinds = {_kind(sample): sample for sample in arrival.data["samples"]}
    return {**arrival.event, "data": {**arrival.data, "samples": list(kinds.values())}}


def _kind(sample: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple((key, type(value) if key in {"p", "dt", "v"} else value) for key, value in sample.items())


@cache
def _validator(event_type: str, numbered: bool) -> Draft202012Validator:
    return Draft202012Validator((record_schema if numbered else projection_schema)(event_type))


def samples(found: Account) -> dict[PointKey, list[Sample]]:
    """Everything that was said of each point, in sequence; what an alarm recorded beside it, where it belongs."""
    said: dict[PointKey, list[Sample]] = defaultdict(list)
    late: set[PointKey] = set()
    for arrival in found.records("telemetry"):
        if arrival.type == "telemetry.batch.v1":
            begin = seconds(arrival.data["t0"])
            for one in arrival.data["samples"]:
                sample = Sample(begin + one["dt"] / 1000, one["v"], one.get("q", "good"), one.get("qr", "ok"))
                said[arrival.data["device"], one["p"]].append(sample)
                if one["why"] == "trigger":
                    late.add((arrival.data["device"], one["p"]))
    for key in late:
        said[key].sort(key=lambda sample: sample.time)
    return said


def seconds(rfc3339: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(rfc3339).timestamp()


@dataclass(frozen=True, slots=True)
class Served:
    """One value as the field gave it; `time` is seconds since the epoch, just before it left."""

    time: float
    value: Any


@dataclass(slots=True)
class Comparison:
    """What was served and never said, with when it was served; and what was said and never served, in words.

    `arrived` are the moments, in order, at which each device served what was said.
    """

    lost: list[tuple[PointKey, float]] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    arrived: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def excuse(self, ends: Iterable[float]) -> Comparison:
        """Without the last that a device served before a gateway's end: what no commit had reached by then.

        Commits are in the order of the readings, so that nothing which the device served after it may have arrived.
        That holds however slow the machine is; how old it may be is for tests with a clock of their own.
        """
        moments = list(ends)
        lost = [(key, at) for key, at in self.lost if not any(self._is_last(key[0], at, end) for end in moments)]
        return Comparison(lost, self.invented, self.arrived)

    def _is_last(self, device: str, at: float, end: float) -> bool:
        arrived = self.arrived[device]
        return at <= end and bisect_left(arrived, at) == bisect_right(arrived, end)

    @property
    def faults(self) -> list[str]:
        lost = [f"{len(self.lost)} served values never arrived, such as {self.lost[:3]}"] if self.lost else []
        return lost + self.invented


def compare(said: Mapping[PointKey, Sequence[Sample]], served: Mapping[PointKey, Sequence[Served]]) -> Comparison:
    """Each point's good values, change for change and in order, with those that the field has served."""
    found = Comparison()
    for key in sorted(served.keys() | said.keys()):
        got = [value for value, _ in groupby(sample.value for sample in said.get(key, ()) if sample.quality == "good")]
        rest = iter(got)
        expected = next(rest, None)
        for each in changes(served.get(key, ())):
            if each.value == expected:
                found.arrived[key[0]].append(each.time)
                expected = next(rest, None)
            else:
                found.lost.append((key, each.time))
        if expected is not None:
            found.invented.append(f"{key}: {expected} was never served, or not then")
    for times in found.arrived.values():
        times.sort()
    return found


def changes(served: Iterable[Served]) -> list[Served]:
    """Without immediate repetitions: the first of equals stays."""
    return [next(equals) for _, equals in groupby(served, key=lambda each: each.value)]


def never_served(said: Mapping[PointKey, Sequence[Sample]], served: Mapping[PointKey, Sequence[Served]]) -> list[str]:
    """Values of any quality that the device had not served by then, and bad ones that are a value all the same."""
    faults = []
    for key, of_point in said.items():
        by_device = served.get(key, ())
        times = [one.time for one in by_device]
        for sample in of_point:
            known = by_device[: bisect_right(times, sample.time + CLOCKS_S)]
            if sample.quality == "bad":
                faults += [f"{key}: bad, and yet {sample.value}"] if sample.value is not None else []
            elif not any(_is_same(sample.value, one.value) for one in reversed(known)):
                faults.append(f"{key}: {sample.value} ({sample.quality}) was never served before {sample.time:.3f}")
    return faults


def _is_same(value: Any, served: Any) -> bool:
    """Numbers may differ by what a scale costs; a truth value is no number."""
    if isinstance(value, bool) or isinstance(served, bool) or not isinstance(value, (int, float)):
        return type(value) is type(served) and bool(value == served)
    return isinstance(served, (int, float)) and math.isclose(value, served, rel_tol=1e-6, abs_tol=1e-9)
