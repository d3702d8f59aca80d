"""What one row of a list says of its point and of its device, as a device file would say it.

Whether a list is taken over or referred to makes no difference here; what its ids are is decided by either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config.pointlist.cells import Refused, limits, scale
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
    """The point, and a doubt about its unit where that is none that we know. Raises `Refused`."""
    refuse_writing(cells)
    found = name_of(cells, "name")
    found |= {"derived": flow(cells, "derived")} if cells.has("derived") else listing.point(cells)
    if cells.has("value"):
        found["value"] = cells.get("value")
    written, doubt = _unit(cells)
    if written not in {"", "1"}:
        found["unit"] = written
    if (by := scale(cells, cells.get("unit"))) != 1:
        found["scale"] = by
    for key in ("offset", "deadband"):
        if (number := cells.number(key)) is not None and number:
            found[key] = number
    if cells.get("states") not in NOTHING:
        found["states"] = flow(cells, "states") if cells.get("states").startswith("{") else states(cells)
        found.setdefault("value", "enum")
    return found | limits(cells) | _pace(cells, headings), doubt


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


def _unit(cells: Cells) -> tuple[str, Refused | None]:
    written, is_known = unit(cells.raw("unit"))
    if is_known or not written:
        return written, None
    return written, Refused(f"unit {written!r} is not one that we know", "it is taken as it is", "unit")


def _pace(cells: Cells, headings: Headings) -> dict[str, Any]:
    if not (cells.has("poll") or cells.has("heartbeat")):
        return {}
    column = headings.of("poll")
    found = {"poll": poll(cells, column.aside if column else "")} if cells.has("poll") else {}
    return found | ({"heartbeat": cells.get("heartbeat")} if cells.has("heartbeat") else {})
