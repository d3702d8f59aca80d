"""One figure of the speed table beside its limit; printed by each benchmark, and gathered by `run.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. `limit` is the promise, the most or (`at_least`) the least; None where it is only shown."""

    name: str
    value: float
    unit: str = ""
    limit: float | None = None
    at_least: bool = False

    @property
    def is_missed(self) -> bool:
        if self.limit is None:
            return False
        return self.value < self.limit if self.at_least else self.value > self.limit

    @property
    def limit_words(self) -> str:
        if self.limit is None:
            return ""
        return f"{'at least' if self.at_least else 'at most'} {number(self.limit)}"

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "MISSED" if self.is_missed else "ok"


def number(value: float) -> str:
    """As many digits as one can use."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def show(figures: list[Figure]) -> int:
    """Print them; the exit code, 1 where a limit is missed."""
    for each in figures:
        print(
            f"  {each.name:<46}{number(each.value):>14} {each.unit:<22}{each.limit_words:<20}{each.verdict}", flush=True
        )
    return 1 if any(each.is_missed for each in figures) else 0
