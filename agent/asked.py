"""What a person asks a device for now: some of its points, and how else their bytes could be meant.

Makers rarely say plainly in which order the bytes of a number come, and a wrong order shows another number, no error.
So a technician looks at the same bytes in every order and writes the one that agrees with the device's display.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from config.model import Point


def asked(points: Sequence[Point], wanted: Collection[str], *, orders: bool = False) -> tuple[Point, ...]:
    """Those of `points` that are wanted, all where none is; with `orders` each in the others of its bytes, too."""
    chosen = tuple(point for point in points if not wanted or point.id in wanted)
    return tuple(each for point in chosen for each in (point, *_in_other_orders(point))) if orders else chosen


def _in_other_orders(point: Point) -> Iterator[Point]:
    for written, spec in point.spec.in_other_orders.items():
        yield replace(point, id=f"{point.id} {written}", spec=spec)
