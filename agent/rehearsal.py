"""Rule tests: a user's readings through the very rules that the daemon runs, on virtual time.

A value stands until it is set anew, and meanwhile its device is asked at the configured intervals, as it would be on
its line; a silent device goes through the same presence as a real one. Nothing here waits, and nothing is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, get_args
from zoneinfo import ZoneInfo

from agent.clock import Now
from agent.events import Action, AlarmTransition, DeviceState, Event
from agent.poll import polls_of
from agent.presence import Presence
from agent.rules import AlarmCommand, DeviceChange, Refused, Rules, Tick, step
from config.rule_tests import read_rule_tests
from drivers.contract import Grade, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from config.model import Config, Device, Line
    from config.rule_tests import Expected, Given, Moment, RuleTest
    from drivers.contract import Poll, Value

NOT_SET = Quality(Grade.BAD, "not_connected")
WORTH = {
    "bad": Quality(Grade.BAD, "sensor_fault"),
    "uncertain": Quality(Grade.UNCERTAIN, "range_suspect"),
    "over_range": Quality(Grade.UNCERTAIN, "over_range"),
    "under_range": Quality(Grade.UNCERTAIN, "under_range"),
}
ACTOR = "rule test"
INSTANT_S = 1e-9
"""What is no further apart than this is one moment."""


@dataclass(frozen=True, slots=True)
class Came:
    """An event of an alarm, `at_s` seconds after the beginning."""

    at_s: float
    alarm: str
    action: str
    level: str | None
    colour: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test. `refused` are orders that meant nothing at their moment."""

    test: RuleTest
    missing: tuple[tuple[float, Expected], ...]
    unexpected: tuple[Came, ...]
    refused: tuple[tuple[float, str], ...]

    @property
    def is_well(self) -> bool:
        return not (self.missing or self.unexpected or self.refused)


@dataclass(slots=True)
class _Device:
    """One device of the test: what its points are set to, and when each poll is due."""

    presence: Presence
    values: dict[str, tuple[Value, Quality | None]] = field(default_factory=dict)
    dues: dict[Poll, float] = field(default_factory=dict)
    silent: bool = False

    def reading(self, poll: Poll, now: Now, changed: Sequence[tuple[int, int]]) -> Reading:
        pairs = [self.values.get(point.id, (None, NOT_SET)) for point in poll.points]
        flaws = {index: flaw for index, (_, flaw) in enumerate(pairs) if flaw is not None}
        return Reading(poll, now.wall, now.mono, [value for value, _ in pairs], flaws, changed)


def read(path: Path, config: Config) -> list[RuleTest]:
    """The tests of a file, or of a folder's files. Raises `ConfigInvalid`."""
    return read_rule_tests(path, config, get_args(Action))


def rehearse(test: RuleTest, config: Config) -> Outcome:
    """Play one test to its last step."""
    play = _Play(test, config)
    for moment in test.moments:
        play.until(moment.at_s)
        play.take(moment)
    missing, unexpected = _compared(test.moments, play.came)
    return Outcome(test, missing, unexpected, tuple(play.refused))


class _Play:
    """One test while it runs."""

    def __init__(self, test: RuleTest, config: Config) -> None:
        self.came: list[Came] = []
        self.refused: list[tuple[float, str]] = []
        self._rules = Rules.build(replace(config, losses=()), {})  # only what is written is tested
        self._began = test.start.replace(tzinfo=ZoneInfo(config.time_zone)).timestamp()
        self._due: float | None = None
        self._devices = {
            device.id: _Device(Presence(config.site, line, device, polls_of(device), since=self._began))
            for line, device in _named(test.moments, config)
        }

    def until(self, at_s: float) -> None:
        """Everything that happens by itself before the moment, and delays that are served at it."""
        while (due := self._next_due()) < at_s - INSTANT_S:
            self._tick(due)
            self._poll(due)
        self._tick(at_s)

    def take(self, moment: Moment) -> None:
        """What the test says of this moment; then polls that are due at it, and what follows at once."""
        for name in moment.silent:
            self._devices[name].silent = True
        for given in moment.given:
            self._set(given)
        for name in dict.fromkeys(given.device for given in moment.given):
            self._read(
                self._devices[name], {given.point for given in moment.given if given.device == name}, moment.at_s
            )
        for verb, alarm in moment.orders:
            self._order(AlarmCommand(verb, alarm, ACTOR), moment.at_s)
        self._poll(moment.at_s)
        self._tick(moment.at_s)

    def _next_due(self) -> float:
        polls = [due for device in self._devices.values() for due in device.dues.values()]
        return min([*polls, *([] if self._due is None else [self._due])], default=float("inf"))

    def _set(self, given: Given) -> None:
        device = self._devices[given.device]
        device.silent = False
        device.values[given.point] = (given.value, WORTH.get(given.quality))

    def _read(self, device: _Device, points: set[str], at_s: float) -> None:
        """What was set arrives at once; from now on its polls are repeated."""
        for poll in device.presence.polls:
            indexes = [index for index, point in enumerate(poll.points) if point.id in points]
            if indexes:
                spans = [(index, index + 1) for index in indexes]
                self._hear(device, poll, spans, at_s)

    def _poll(self, at_s: float) -> None:
        for device in self._devices.values():
            for poll, due in list(device.dues.items()):
                if due <= at_s + INSTANT_S:
                    self._hear(device, poll, (), at_s)

    def _hear(self, device: _Device, poll: Poll, changed: Sequence[tuple[int, int]], at_s: float) -> None:
        now = self._now(at_s)
        device.dues[poll] = at_s + poll.interval_s
        told: Iterable[Reading | Event]
        if device.silent:
            told = device.presence.missed(poll, "silent", now)
        else:
            told = device.presence.heard(device.reading(poll, now, changed), None)
        for item in told:
            if isinstance(item, Reading):
                self._step(item, at_s)
            elif isinstance(item.body, DeviceState):
                self._step(DeviceChange(item.body.device, item.body.state), at_s)

    def _tick(self, at_s: float) -> None:
        while self._due is not None and self._due <= at_s + INSTANT_S:
            before = self._due
            self._step(Tick(), max(before, 0.0))
            if self._due == before:
                return

    def _order(self, command: AlarmCommand, at_s: float) -> None:
        try:
            self._step(command, at_s)
        except Refused as refused:
            self.refused.append((at_s, str(refused)))

    def _step(self, item: Reading | AlarmCommand | DeviceChange | Tick, at_s: float) -> None:
        outcome = step(self._rules, item, self._now(at_s))
        self._due = outcome.next_due
        for event in outcome.events:
            if isinstance(event.body, AlarmTransition):
                body = event.body
                self.came.append(Came(at_s, body.alarm_id, body.action, body.level, body.colour))

    def _now(self, at_s: float) -> Now:
        return Now(self._began + at_s, at_s)


def _named(moments: Iterable[Moment], config: Config) -> Iterator[tuple[Line, Device]]:
    """The devices that the test is about, with their lines."""
    names = {name for moment in moments for name in (*moment.silent, *(given.device for given in moment.given))}
    for line in config.lines:
        yield from ((line, device) for device in line.devices if device.id in names)


def _compared(
    moments: Iterable[Moment], came: Iterable[Came]
) -> tuple[tuple[tuple[float, Expected], ...], tuple[Came, ...]]:
    """What was expected and did not come, and what came and was not expected. Times must be equal.

    That nobody acknowledged is no fault of a rule: it may be expected, and need not be.
    """
    rest = list(came)
    missing = []
    for moment in moments:
        for expected in moment.expected:
            match = next((one for one in rest if _is_meant(expected, moment.at_s, one)), None)
            if match is None:
                missing.append((moment.at_s, expected))
            else:
                rest.remove(match)
    return tuple(missing), tuple(one for one in rest if one.action != "ack_overdue")


def _is_meant(expected: Expected, at_s: float, came: Came) -> bool:
    return (
        abs(at_s - came.at_s) <= INSTANT_S
        and (expected.alarm, expected.action) == (came.alarm, came.action)
        and expected.level in {None, came.level}
        and expected.colour in {None, came.colour}
    )
