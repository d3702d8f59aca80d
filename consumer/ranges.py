"""Sets of sequence numbers, kept as ranges: years of numbers without gaps are one pair.

Always true: ranges are sorted, disjoint and never adjacent; both ends belong to them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class Ranges:
    """Mutable. `len` is how many ranges there are, `count` how many numbers."""

    __slots__ = ("_firsts", "_lasts", "count")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self.count = 0
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> int:
        """Returns how many of these numbers are new."""
        if last < first:
            return 0
        begin = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        known = 0
        if begin < end:
            first = min(first, self._firsts[begin])
            last = max(last, self._lasts[end - 1])
            known = sum(self._lasts[i] - self._firsts[i] + 1 for i in range(begin, end))
        self._firsts[begin:end] = [first]
        self._lasts[begin:end] = [last]
        new = last - first + 1 - known
        self.count += new
        return new

    def minus(self, other: Iterable[Range]) -> Ranges:
        """A new set, without the numbers of the other, whose ranges must be sorted."""
        rest = Ranges()
        holes = iter(other)
        hole = next(holes, None)
        for first, last in self:
            begin = first
            while hole is not None and hole[0] <= last:
                if hole[1] >= begin:
                    rest.add(begin, hole[0] - 1)
                    begin = hole[1] + 1
                if hole[1] > last:
                    break
                hole = next(holes, None)
            rest.add(begin, last)
        return rest

    def within(self, first: int, last: int) -> Ranges:
        """A new set: those between these two, both included."""
        begin = bisect_left(self._lasts, first)
        end = bisect_right(self._firsts, last)
        return Ranges((max(first, self._firsts[i]), min(last, self._lasts[i])) for i in range(begin, end))

    def touches(self, number: int) -> bool:
        """Whether this number would lengthen a range, so that there are no more ranges than before."""
        return number in self or number - 1 in self or number + 1 in self

    def __contains__(self, number: int) -> bool:
        index = bisect_left(self._lasts, number)
        return index < len(self._lasts) and self._firsts[index] <= number

    def __iter__(self) -> Iterator[Range]:
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        return len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"

    @property
    def first(self) -> int | None:
        return self._firsts[0] if self._firsts else None

    @property
    def last(self) -> int | None:
        return self._lasts[-1] if self._lasts else None

    @property
    def head(self) -> int:
        """Up to which number, from 1, nothing is missing."""
        return self._lasts[0] if self._firsts and self._firsts[0] == 1 else 0
