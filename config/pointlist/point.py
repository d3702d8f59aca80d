"""What one row of a list says of its point and of its device, as a device file would say it.

Whether a list is taken over or referred to makes no difference here; what its ids are is decided by either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config.pointlist.cells import Refused, limits, scale, together
from config.pointlist.flow import flow
from config.pointlist.spelling import poll, refuse_writing, states, unit

if TYPE_CHECKING:
    from config.pointlist.cells import Cells
    from config.pointlist.headings import Headings
    from config.pointlist.listing import Listing

SPARE = frozenset({"备用", "预留", "保留", "空", "spare", "reserved", "reserve", "unused", "not used"})
NOTHING = frozenset({"", "-", "/"})


def is_spare(cells: Cells) -> bool:
    """Whether the row itself says that there is nothing yet."""
    return any(cells.raw(key).lower() in SPARE for key in ("name_zh", "name_en"))


def point_of(cells: Cells, listing: Listing, headings: Headings) -> tuple[dict[str, Any], Refused | None]:
    """The point, and a doubt about its unit where that is none that we know. Raises `Refused`, with all mistakes."""
    doubts: list[Refused] = []
    found = together(
        lambda: _access(cells),
        lambda: name_of(cells, "name"),
        lambda: {"derived": flow(cells, "derived")} if cells.has("derived") else listing.point(cells),
        lambda: {"value": cells.get("value")} if cells.has("value") else {},
        lambda: _unit(cells, doubts),
        lambda: _scale(cells),
        lambda: _number(cells, "offset"),
        lambda: _number(cells, "deadband"),
        lambda: _states(cells),
        lambda: limits(cells),
        lambda: _pace(cells, headings),
    )
    if "states" in found:
        found.setdefault("value", "enum")
    return found, next(iter(doubts), None)


def name_of(cells: Cells, key: str) -> dict[str, Any]:
    """`name`, from the columns `key` in both languages; nothing where both are empty."""
    zh, en = cells.raw(f"{key}_zh"), cells.raw(f"{key}_en")
    if zh and en and zh != en:
        return {"name": {"zh": zh, "en": en}}
    return {"name": zh or en} if zh or en else {}


def address_of(cells: Cells, listing: Listing) -> dict[str, Any]:
    """Where the device is on its line, as far as the row says it. Raises `Refused`."""
    whole = flow(cells, "device_address") if cells.has("device_address") else {}
    if not isinstance(whole, dict):
        raise Refused("not a mapping", "write it as in a device file, such as {unit: 1}", "device_address")
    return {**whole, **listing.address(cells)}


def _access(cells: Cells) -> dict[str, Any]:
    refuse_writing(cells)
    return {}


def _unit(cells: Cells, doubts: list[Refused]) -> dict[str, Any]:
    written, is_known = unit(cells.raw("unit"))
    if written and not is_known:
        doubts.append(Refused(f"unit {written!r} is not one that we know", "it is taken as it is", "unit"))
    return {"unit": written} if written not in {"", "1"} else {}


def _scale(cells: Cells) -> dict[str, Any]:
    by = scale(cells, cells.get("unit"))
    return {"scale": by} if by != 1 else {}


def _number(cells: Cells, key: str) -> dict[str, Any]:
    number = cells.number(key)
    return {key: number} if number else {}


def _states(cells: Cells) -> dict[str, Any]:
    if cells.get("states") in NOTHING:
        return {}
    return {"states": flow(cells, "states") if cells.get("states").startswith("{") else states(cells)}


def _pace(cells: Cells, headings: Headings) -> dict[str, Any]:
    if not (cells.has("poll") or cells.has("heartbeat")):
        return {}
    column = headings.of("poll")
    found = {"poll": poll(cells, column.aside if column else "")} if cells.has("poll") else {}
    return found | ({"heartbeat": cells.get("heartbeat")} if cells.has("heartbeat") else {})
