"""How a device is told from another one that stands at its address: what a value of it must be, and what is said else.

The grammar that every driver offers as `expect`, and the quality of a device that contradicts. When to ask, and how, is
each driver's own matter.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Self

from pydantic import model_validator

from config.files import PointSpec
from config.model import Point, Text
from drivers.contract import Grade, Quality

_NOBODY = Text("", "")


class Expectation(PointSpec):
    """A value by which a device is recognized: it is one of `equals` (texts are patterns), or lies in `low` to `high`.

    A device that does not have the value at all is another one, unless it `may_lack` it: as where a maker's older
    models do, or where the source of the map is in doubt.
    """

    equals: tuple[int | float | str, ...] = ()
    may_lack: bool = False

    @model_validator(mode="after")
    def _can_tell(self) -> Self:
        if not self.equals and self.low is None and self.high is None:
            raise ValueError("equals: missing; write equals: [15272], or low and high")
        return self

    def allows(self, value: float | str) -> bool:
        if isinstance(value, str):
            return any(fnmatchcase(value, pattern) for pattern in self.equals if isinstance(pattern, str))
        if value in self.equals:
            return True
        if self.low is None and self.high is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def judged(self, value: float | str | None, where: str = "") -> Quality | None:
        """What a value says against the device; a value that is not there now says nothing."""
        if value is None or self.allows(value):
            return None
        return contradiction(f"{where or self.where} is {value if isinstance(value, str) else f'{value:g}'}")

    @property
    def alone(self) -> Point:
        """The value as a point of nobody, so that a driver reads it as it reads any other."""
        return Point(
            self.where, "", "", _NOBODY, self.value, self.unit, 0.0, self, self.scale, self.offset, self.states
        )


def contradiction(what: str) -> Quality:
    """The quality of everything that a device says which is not the expected one."""
    return Quality(Grade.BAD, "config_error", f"not the expected device ({what})")
