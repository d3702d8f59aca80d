"""Source alarms: from the events of a server's conditions to samples of the points that follow them. Pure.

A point follows a condition by the node that it is about (its source) or by the node of the condition itself, and shows
one facet of it. Several conditions of one source count together: active is any, acknowledged and hidden are all, the
rest is that of the most severe.

Always true: a facet is told only once the server has said what stands (`complete`). A condition that it did not mention
then is normal, because a refresh mentions all that are not; before, nobody knows, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from drivers.opcua.kinds import BOOLEAN, INT32, NODE_ID, NULL, STRING
from drivers.opcua.parts import Key, node_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drivers.opcua.decode import Fields, Sample

Facet = Literal["active", "acked", "severity", "message", "level", "hidden"]

REFRESH_START, REFRESH_END, REFRESH_REQUIRED, OVERFLOW = (0, 2787), (0, 2788), (0, 2789), (0, 3035)
OUT_OF_SERVICE = 0x808D_0000
CONDITIONS_MAX = 10_000
"""Of one server, that concern us; what is beyond is as if it were not reported, and the server has a fault."""

FIELDS = (
    ("EventType", 2041),
    ("SourceNode", 2041),
    ("Time", 2041),
    ("Severity", 2041),
    ("Message", 2041),
    ("", 2782),
    ("BranchId", 2782),
    ("ConditionName", 2782),
    ("Retain", 2782),
    ("EnabledState/Id", 2782),
    ("Quality", 2782),
    ("AckedState/Id", 2881),
    ("ActiveState/Id", 2915),
)
"""What is asked of each event, with the type that has it; nothing stands for the node of the condition itself."""

LEVEL_FIELDS = (
    ("LimitState/CurrentState/Id", 9341),
    ("LowLowState/Id", 9906),
    ("LowState/Id", 9906),
    ("HighState/Id", 9906),
    ("HighHighState/Id", 9906),
)
"""Asked for as well where a point wants the level: of alarms with one state at a time, and of those with several."""

HIDDEN_FIELDS = (
    ("OutOfServiceState/Id", 2915),
    ("SuppressedState/Id", 2915),
    ("ShelvingState/CurrentState/Id", 2915),
    ("SuppressedOrShelved", 2915),
)
"""Asked for as well where a point wants to know whether the server hides the alarm from its own operators."""

SHOWN, SHELVED, SUPPRESSED, OUT_OF_SERVICE_THERE = range(4)
HIDDEN = {SHOWN: "no", SHELVED: "shelved", SUPPRESSED: "suppressed", OUT_OF_SERVICE_THERE: "out_of_service"}
"""Where several hide it, the highest counts; `suppressed` also where the server only says that one of the two does."""

_SHELVED = {(0, 2932), (0, 2933)}
"""Timed, and until it is over."""

NORMAL, LOW_LOW, LOW, HIGH, HIGH_HIGH, OTHER = range(6)
LEVELS = {NORMAL: "normal", LOW_LOW: "low_low", LOW: "low", HIGH: "high", HIGH_HIGH: "high_high", OTHER: "other"}
"""`other` is active without a limit that we know."""

_EXCLUSIVE: dict[Key | None, int] = {(0, 9335): LOW_LOW, (0, 9333): LOW, (0, 9331): HIGH, (0, 9329): HIGH_HIGH}
_WORST_FIRST = (
    ("HighHighState/Id", HIGH_HIGH),
    ("LowLowState/Id", LOW_LOW),
    ("HighState/Id", HIGH),
    ("LowState/Id", LOW),
)


@dataclass(frozen=True, slots=True)
class Following:
    """One point: its handle, whose conditions it follows, which one by name (all if empty), and what it shows."""

    handle: int
    node: Key
    condition: str
    facet: Facet


@dataclass(frozen=True, slots=True)
class Condition:
    """The last that was said of one condition. `status` is what its quality and its enabled state make of it."""

    source: Key | None
    node: Key | None
    name: str
    active: bool
    acked: bool
    severity: int
    message: str
    status: int
    ticks: int
    retain: bool
    level: int
    hidden: int


class Conditions:
    """The conditions that some points follow, as far as the server has told."""

    def __init__(self, following: Sequence[Following]) -> None:
        self.complete = False
        self.refresh_wanted = False
        self.overflows = 0
        facets = {each.facet for each in following}
        more = (("level", LEVEL_FIELDS), ("hidden", HIDDEN_FIELDS))
        self.fields = FIELDS + tuple(field for facet, fields in more if facet in facets for field in fields)
        self._names = tuple(name for name, _ in self.fields)
        self._following = following
        self._nodes = {each.node for each in following}
        self._known: dict[object, Condition] = {}
        self._mentioned: set[object] | None = None

    def take(self, events: Iterable[Fields]) -> list[Sample]:
        """What the points show after each of these events, in their order."""
        samples: list[Sample] = []
        for fields in events:
            samples += self._take(fields)
        return samples

    def _take(self, fields: Fields) -> list[Sample]:
        if len(fields) != len(self.fields):
            return []
        kind = _key(fields[0])
        if kind == REFRESH_START:
            self._mentioned = set()
        elif kind == REFRESH_END:
            return self._completed()
        elif kind in {REFRESH_REQUIRED, OVERFLOW}:
            self.refresh_wanted = True
            self.overflows += kind == OVERFLOW
        elif (found := _condition(dict(zip(self._names, fields, strict=True)))) is not None and {
            found.source,
            found.node,
        } & self._nodes:
            return self._changed(found)
        return []

    def _changed(self, found: Condition) -> list[Sample]:
        name = found.node or (found.source, found.name)
        if self._mentioned is not None:
            self._mentioned.add(name)
        if found.retain or found.active:
            if name in self._known or len(self._known) < CONDITIONS_MAX:
                self._known[name] = found
            else:
                self.overflows += 1
        else:
            self._known.pop(name, None)
        followed = [each for each in self._following if _concerns(each, found)]
        return [self.sample(each, found) for each in followed] if self.complete else []

    def _completed(self) -> list[Sample]:
        """The refresh is over: what it did not mention is normal."""
        if self._mentioned is None:
            return []
        self._known = {name: found for name, found in self._known.items() if name in self._mentioned}
        self._mentioned, self.complete = None, True
        return [self.sample(each) for each in self._following]

    def sample(self, each: Following, latest: Condition | None = None) -> Sample:
        """What a point shows now. `latest` is the event that led to it: its time and quality count if all is normal."""
        found = [condition for condition in self._known.values() if _concerns(each, condition)]
        active = [condition for condition in found if condition.active]
        leading = max(active or found, key=lambda condition: condition.severity, default=latest)
        status, ticks = (leading.status, (latest or leading).ticks) if leading else (0, 0)
        kind, value = _facet(each.facet, found, active)
        return each.handle, kind, value, status, ticks


def _facet(facet: Facet, found: Sequence[Condition], active: Sequence[Condition]) -> tuple[int, object]:
    leading = max(active, key=lambda condition: condition.severity, default=None)
    if facet == "active":
        return BOOLEAN, bool(active)
    if facet == "acked":
        return BOOLEAN, all(condition.acked for condition in found)
    if facet == "severity":
        return INT32, leading.severity if leading else 0
    if facet == "level":
        return INT32, leading.level if leading else NORMAL
    if facet == "hidden":
        return INT32, _hidden_by(active or found)
    return STRING, leading.message if leading else ""


def _concerns(each: Following, found: Condition) -> bool:
    if each.node not in {found.source, found.node}:
        return False
    return not each.condition or each.condition == found.name


def _hidden_by(conditions: Sequence[Condition]) -> int:
    """What hides all of them; one that is shown is enough for somebody to be called."""
    hidden = [condition.hidden for condition in conditions]
    return max(hidden) if hidden and SHOWN not in hidden else SHOWN


_Said = Mapping[str, tuple[int, object]]
_NOTHING = (NULL, None)


def _condition(said: _Said) -> Condition | None:
    """What an event says of its condition; `None` for events of another kind and for branches, which are the past."""
    retain = said["Retain"][1]
    if _key(said["BranchId"]) not in {None, (0, 0)} or not isinstance(retain, bool):
        return None
    status = _number(said["Quality"])
    return Condition(
        source=_key(said["SourceNode"]),
        node=_key(said[""]),
        name=_words(said["ConditionName"]),
        active=said["ActiveState/Id"][1] is True,
        acked=said["AckedState/Id"][1] is not False,
        severity=_number(said["Severity"]),
        message=_words(said["Message"]),
        status=OUT_OF_SERVICE if said["EnabledState/Id"][1] is False else status,
        ticks=_number(said["Time"]),
        retain=retain,
        level=_level(said),
        hidden=_hidden(said),
    )


def _level(said: _Said) -> int:
    """Which limit is passed, the outer ones first; for an alarm that has none it is another alarm."""
    exclusive = _EXCLUSIVE.get(_key(said.get("LimitState/CurrentState/Id", _NOTHING)))
    return exclusive or next((level for name, level in _WORST_FIRST if _is_true(said, name)), OTHER)


def _hidden(said: _Said) -> int:
    if _is_true(said, "OutOfServiceState/Id"):
        return OUT_OF_SERVICE_THERE
    if _is_true(said, "SuppressedState/Id"):
        return SUPPRESSED
    if _key(said.get("ShelvingState/CurrentState/Id", _NOTHING)) in _SHELVED:
        return SHELVED
    return SUPPRESSED if _is_true(said, "SuppressedOrShelved") else SHOWN


def _is_true(said: _Said, name: str) -> bool:
    return said.get(name, _NOTHING)[1] is True


def _number(field: tuple[int, object]) -> int:
    return field[1] if isinstance(field[1], int) else 0


def _words(field: tuple[int, object]) -> str:
    return field[1] if isinstance(field[1], str) else ""


def _key(field: tuple[int, object]) -> Key | None:
    kind, value = field
    return node_key(value, 0)[0] if kind == NODE_ID and isinstance(value, bytes) else None
