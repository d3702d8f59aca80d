"""How long each alarm may take at worst, from the event in the field to its place in the journal, without its on-delay.

Worked out from the configuration before anything is opened, for a healthy line: every device answers, the next poll has
just gone by, and everybody else on the line is asked first. What one lost answer and a dead neighbour would add is told
beside it. An alarm that waits for time by itself (a mean, silence, standstill) is not in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.poll import PROBE_S_MAX, polls_of
from config.errors import ConfigProblem
from config.judgement import Bits, Computed, Deviation, Limit, State
from config.model import COLOURS
from drivers.contract import Planning, Reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from config.model import Alarm, Config, Device, Line, Point
    from drivers.contract import Driver, Poll

LIFE_SAFETY_S = 2.0
RED_S = 5.0
OTHER_S = 10.0
"""The budgets."""

ANSWER_S = 0.1
"""What a device on a network takes for one answer; a serial line's time is worked out from its bytes."""

GATEWAY_S = 0.2
"""Decoding, deciding and storing, with a disk that is busy."""


@dataclass(frozen=True, slots=True)
class Latency:
    """One alarm. `lost_s` is with one answer that never came, `neighbour_s` with a dead device beside it on the line.

    None: nothing of that kind can happen to it. `poll_s` is None where the device reports by itself.
    """

    alarm: Alarm
    budget_s: float
    poll_s: float | None
    healthy_s: float
    lost_s: float | None
    neighbour_s: float | None

    @property
    def is_over(self) -> bool:
        """On a healthy line; a long on-delay excuses nothing, it comes on top."""
        return self.healthy_s > self.budget_s

    @property
    def is_over_beside_a_dead_neighbour(self) -> bool:
        return not self.is_over and (self.neighbour_s or 0.0) > self.budget_s

    @property
    def waits(self) -> bool:
        """By its on-delay it waits at least as long as it may take: late, but nobody waits for it by the second."""
        return self.alarm.on_delay_s >= self.budget_s and not self.alarm.life_safety


@dataclass(frozen=True, slots=True)
class _Way:
    """How the value of one point comes."""

    poll_s: float | None
    healthy_s: float
    lost_s: float | None
    neighbour_s: float | None


def latencies(config: Config, drivers: Sequence[Driver]) -> list[Latency]:
    """Of every alarm that is decided by the values of the moment; `drivers` are those of its lines."""
    ways: dict[tuple[str, str], _Way] = {}
    for line, driver in zip(config.lines, drivers, strict=True):
        ways |= dict(_line(line, driver))
    derived = {(point.device, point.id): point for device in config.devices for point in device.derived}
    alarms = (alarm for device in config.devices for alarm in device.alarms if _is_immediate(alarm))
    return [latency for alarm in alarms if (latency := _latency(alarm, ways, derived)) is not None]


def _is_immediate(alarm: Alarm) -> bool:
    condition = alarm.condition
    if isinstance(condition, Limit):
        return condition.measure is None or isinstance(condition.measure, Deviation)
    return isinstance(condition, (State, Bits, Computed))


def _latency(
    alarm: Alarm, ways: Mapping[tuple[str, str], _Way], derived: Mapping[tuple[str, str], Point]
) -> Latency | None:
    """By the slowest of its points; what is computed comes with what it is computed from."""
    found = [ways[point] for point in _read_for(alarm.points, derived) if point in ways]
    if not found:
        return None
    slowest = max(found, key=lambda way: way.healthy_s)
    return Latency(
        alarm,
        budget_s(alarm),
        slowest.poll_s,
        slowest.healthy_s,
        _worst(way.lost_s for way in found),
        _worst(way.neighbour_s for way in found),
    )


def _read_for(
    points: Iterable[tuple[str, str]], derived: Mapping[tuple[str, str], Point]
) -> dict[tuple[str, str], None]:
    """Every point that has to be read for these."""
    found: dict[tuple[str, str], None] = {}
    waiting = list(points)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = None
            waiting += derived[key].sources if key in derived else ()
    return found


def budget_s(alarm: Alarm) -> float:
    """By what it can reach at worst."""
    if alarm.life_safety:
        return LIFE_SAFETY_S
    return RED_S if COLOURS[0] in alarm.colours else OTHER_S


def _worst(lengths_s: Iterable[float | None]) -> float | None:
    return max((length_s for length_s in lengths_s if length_s is not None), default=None)


# --- lines ------------------------------------------------------------------------------------------------------------


def _line(line: Line, driver: Driver) -> Iterator[tuple[tuple[str, str], _Way]]:
    polls = {device: polls_of(device) for device in line.devices}
    reads_s = {poll: _read_s(driver, poll) for each in polls.values() for poll in each}
    longest_s = {device: max((reads_s[poll] for poll in each), default=0.0) for device, each in polls.items()}
    for device, each in polls.items():
        others_s = [length_s for other, length_s in longest_s.items() if other is not device]
        for poll in each:
            own_s = max((reads_s[other] for other in each if other is not poll), default=0.0)
            busy_s = own_s + _queue_s(others_s, line.concurrency) + reads_s[poll]
            for point in poll.points:
                if isinstance(driver, Reporting):
                    yield (device.id, point.id), _Way(None, driver.report_s(point) + GATEWAY_S, None, None)
                else:
                    yield (device.id, point.id), _polled(line, device, each, poll, busy_s)


def _polled(line: Line, device: Device, polls: Sequence[Poll], poll: Poll, busy_s: float) -> _Way:
    healthy_s = poll.interval_s + busy_s + GATEWAY_S
    # After a silence a poll is asked again at its own interval, or after the longest pause of the breaker.
    again_s = max(min(other.interval_s for other in polls), min(poll.interval_s, PROBE_S_MAX))
    beside_s = healthy_s + line.timeout_s if _is_held_up(line, device) else None
    return _Way(poll.interval_s, healthy_s, healthy_s + line.timeout_s + again_s, beside_s)


def _is_held_up(line: Line, device: Device) -> bool:
    """Whether a neighbour that does not answer takes the one place in which devices of the line are asked."""
    return line.concurrency == 1 and any(other is not device for other in line.devices)


def _queue_s(others_s: Sequence[float], concurrency: int) -> float:
    """How long the others on the line keep a poll waiting, each with its longest read."""
    return 0.0 if len(others_s) < concurrency else sum(others_s) / concurrency


def _read_s(driver: Driver, poll: Poll) -> float:
    if not isinstance(driver, Planning):
        return ANSWER_S
    return sum(
        (ANSWER_S if request.bus_s is None else request.bus_s) + request.wait_s for request in driver.requests(poll)
    )


# --- what is too late -------------------------------------------------------------------------------------------------


class Late:
    """What is over its budget, each with the line that it is on, for somebody who has to change the configuration."""

    def __init__(self, config: Config, found: Iterable[Latency]) -> None:
        self._lines = {device.id: line for line in config.lines for device in line.devices}
        self._found = list(found)

    def problems(self) -> Iterator[tuple[str, ConfigProblem]]:
        """Life safety that cannot be in time."""
        for one in self._found:
            if one.is_over and one.alarm.life_safety:
                message = f"life-safety alarm {one.alarm.key} can take {_told(one)}"
                yield self._at(one, message, _HINT, point=one.alarm.point)

    def warnings(self) -> Iterator[tuple[str, ConfigProblem]]:
        """One for each device, one for all alarms that wait for longer anyway, and one for each line on which a dead
        device would hold the others up.
        """
        late = [one for one in self._found if one.is_over and not one.alarm.life_safety]
        for worst, others in _grouped((one for one in late if not one.waits), lambda one: one.alarm.device):
            message = f"alarm {worst.alarm.key} can take {_told(worst)}{others}"
            yield self._at(worst, message, _HINT)
        for worst, others in _grouped((one for one in late if one.waits), lambda _: ""):
            waits = f"beside its on_delay of {worst.alarm.on_delay_s:g} s"
            yield self._at(worst, f"alarm {worst.alarm.key} can take {_told(worst)}, {waits}{others}", _HINT)
        held_up = [one for one in self._found if one.is_over_beside_a_dead_neighbour]
        for worst, others in _grouped(held_up, lambda one: self._lines[one.alarm.device].id):
            told = f"{worst.neighbour_s:.1f} s, its budget is {worst.budget_s:g} s{others}"
            message = f"beside a device that does not answer, {worst.alarm.id} can take {told}"
            hint = "shorten timeout, raise concurrency where the line bears it, or give it a line of its own"
            yield self._lines[worst.alarm.device].id, ConfigProblem(message, hint, field="timeout")

    def _at(self, one: Latency, message: str, hint: str, *, point: str = "") -> tuple[str, ConfigProblem]:
        return self._lines[one.alarm.device].id, ConfigProblem(message, hint, device=one.alarm.device, point=point)


_HINT = "poll its point faster (poll: L is once a second), or ask less of the line; see wardgate check --latency"


def _told(one: Latency) -> str:
    return f"{one.healthy_s:.1f} s, its budget is {one.budget_s:g} s"


def _grouped(found: Iterable[Latency], key: Callable[[Latency], str]) -> Iterator[tuple[Latency, str]]:
    """The worst of each group, and how many more there are."""
    groups: dict[str, list[Latency]] = {}
    for one in found:
        groups.setdefault(key(one), []).append(one)
    for group in groups.values():
        worst = max(group, key=lambda one: (one.neighbour_s or one.healthy_s) / one.budget_s)
        yield worst, f" ({len(group) - 1} more)" if len(group) > 1 else ""
