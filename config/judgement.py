"""What an alarm is judged by: limits on a value or on what is measured of it, states, silence, expressions.

Resolved and frozen, as the rest of `config.model`, and free of the alarm around it: its texts, delays and colours of a
place are there. What may be written is `config.files`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from config.model import Colour

LevelName = Literal["HH", "H", "L", "LL"]


@dataclass(frozen=True, slots=True)
class Input:
    """A point in a formula: `name` is the variable that stands for it, `written` how a person called it."""

    name: str
    device: str
    point: str
    written: str


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression over points: `text` as written, `cel` as it is evaluated (`config.cel`)."""

    text: str
    cel: str
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a limit alarm. `HH` and `H` are active at or above `limit`, `L` and `LL` at or below."""

    name: LevelName
    limit: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Mean:
    """A limit on the mean over the last `window_s`, of which 75 % must be known good."""

    window_s: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit on the change over the last `window_s`, told per `per_s`: a rise is positive."""

    per_s: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Deviation:
    """A limit on how far the value is from another point (`device`, `point`), or from the number `value`."""

    device: str = ""
    point: str = ""
    value: float | None = None


Measure = Mean | Rate | Deviation
MEAN_WINDOWS_S = (900.0, 3600.0, 28_800.0, 86_400.0)
"""15 min, 1 h, 8 h and 24 h: the windows that limits for air and noise are given for, `domain.md` 4.7."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Levels of one alarm over a number, with a deadband in the unit of what is judged.

    Without a measure that is the value itself.
    """

    levels: tuple[Level, ...]
    deadband: float = 0.0
    measure: Measure | None = None

    @property
    def kind(self) -> str:
        return "limit" if self.measure is None else type(self.measure).__name__.lower()


@dataclass(frozen=True, slots=True)
class State:
    """Active while the value is one of `values` (booleans, state names or integers)."""

    values: tuple[bool | int | str, ...]
    colour: Colour
    kind: ClassVar[str] = "state"


@dataclass(frozen=True, slots=True)
class Bits:
    """Active while any bit of `mask` is set; with `inverted`, while any is not."""

    mask: int
    colour: Colour
    inverted: bool = False
    kind: ClassVar[str] = "bit"


@dataclass(frozen=True, slots=True)
class NoUpdate:
    """Active when nobody has confirmed the value for `after_s`."""

    after_s: float
    colour: Colour
    kind: ClassVar[str] = "no_update"


@dataclass(frozen=True, slots=True)
class Stuck:
    """Active when the value has been good for `after_s` and has not moved by more than `band`."""

    after_s: float
    colour: Colour
    band: float = 0.0
    kind: ClassVar[str] = "stuck"


@dataclass(frozen=True, slots=True)
class Counter:
    """Active when a counter has not grown by more than `band` for `still_s`, or went backwards.

    With `rollover`, the number of steps before it begins again at 0, that is no way back.
    """

    colour: Colour
    still_s: float | None = None
    backwards: bool = False
    rollover: float | None = None
    band: float = 0.0
    kind: ClassVar[str] = "counter"


@dataclass(frozen=True, slots=True)
class Computed:
    """Active while the formula is true."""

    formula: Formula
    colour: Colour
    kind: ClassVar[str] = "expression"


@dataclass(frozen=True, slots=True)
class Offline:
    """Active while the device does not answer."""

    colour: Colour
    kind: ClassVar[str] = "offline"


@dataclass(frozen=True, slots=True)
class Faulty:
    """Active while the device answers, but some of its points have no value that can be used."""

    colour: Colour
    kind: ClassVar[str] = "fault"


@dataclass(frozen=True, slots=True)
class LineDown:
    """Active while no device of a line answers."""

    line: str
    colour: Colour
    kind: ClassVar[str] = "line_down"


Condition = Limit | State | Bits | NoUpdate | Stuck | Counter | Offline | Faulty | LineDown | Computed


def colours_of(condition: Condition) -> tuple[Colour, ...]:
    """Every colour that it can give an alarm."""
    if isinstance(condition, Limit):
        return tuple(level.colour for level in condition.levels)
    return (condition.colour,)
