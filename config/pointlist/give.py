"""The points of a configuration as a table for a spreadsheet: every column that `take` understands, and no other.

What goes out comes back the same: places on the wire, texts as they are, mappings as YAML. A text that a spreadsheet
would take for a formula has an apostrophe in front, as people write it.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from config.pointlist.headings import GENERAL, squeezed
from config.pointlist.written import flow_text
from config.units import POLL_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from config.files import AddressSpec, PointSpec
    from config.model import Device, Line, Point
    from config.pointlist.headings import Vocabulary
    from config.pointlist.listing import Listing

DEVICE = ("device", "device_name_zh", "device_name_en", "line", "system", "device_address", "building", "floor",
          "space", "risk")  # fmt: skip
ASIDE = {"register": "register (0-based)"}
"""Where a heading has to say more than the field's name."""

NOT_IN_LIST = frozenset({"name", "source"})
_FORMULA = re.compile(r"[=+\-@'\t].*", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")


def give(
    lines: Sequence[Line], listings: Mapping[str, type[Listing]], intervals: Mapping[str, float], wanted: Iterable[str]
) -> str:
    """The table as CSV with a byte order mark, which Excel needs for Chinese. `wanted` are devices, all if empty.

    `intervals` are those of the poll classes in the gateway: where a device has its own, its interval is written.
    """
    chosen = set(wanted)
    rows = [
        row
        for line in lines
        for device in line.devices
        if not chosen or device.id in chosen
        for row in _device(device, listings[line.protocol].columns, intervals)
    ]
    fields = [*DEVICE, "id", "name_zh", "name_en"]
    for listing in dict.fromkeys(listings[line.protocol] for line in lines):
        fields += [field for field in listing.columns if field not in fields]
    fields += [field for field in GENERAL if field not in fields]
    filled = [field for field in fields if any(row.get(field) for row in rows)]
    vocabulary: dict[str, str] = {**GENERAL}
    for listing in listings.values():
        vocabulary |= listing.columns
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([_heading(field, vocabulary) for field in filled])
    writer.writerows([_safe(row.get(field, "")) for field in filled] for row in rows)
    return "\ufeff" + text.getvalue()


def _device(device: Device, columns: Vocabulary, intervals: Mapping[str, float]) -> Iterable[dict[str, str]]:
    place = device.place
    about = {
        "device": device.id,
        "device_name_zh": device.name.zh,
        "device_name_en": device.name.en,
        "line": device.line,
        "system": device.system,
        "device_address": flow_text(_dumped(device.address)) if _dumped(device.address) else "",
        "building": place.building,
        "floor": place.floor,
        "space": place.space,
        "risk": place.risk or "",
    }
    for point in device.all_points:
        yield {**about, **_point(point, columns, intervals)}


def _point(point: Point, columns: Vocabulary, intervals: Mapping[str, float]) -> dict[str, str]:
    spec: PointSpec = point.spec
    found = {key: _text(value) for key, value in _dumped(spec).items() if key not in NOT_IN_LIST}
    whole = spec.model_dump(by_alias=True)
    found |= {key: whole[key] for key in columns if isinstance(whole.get(key), str) and whole[key]}
    if "poll" in whole and "derived" not in whole:
        found["poll"] = _pace(whole["poll"] or "N", point.poll_s, intervals)
    if "heartbeat" in found:
        found["heartbeat"] += "s"
    return {"id": point.id, "name_zh": point.name.zh, "name_en": point.name.en, **found}


def _pace(written: str | float, poll_s: float, intervals: Mapping[str, float]) -> str:
    is_class = written in POLL_CLASSES and intervals[str(written)] == poll_s
    return str(written) if is_class else f"{round(poll_s, 6):.12g}s"


def _dumped(spec: PointSpec | AddressSpec) -> dict[str, Any]:
    return spec.model_dump(by_alias=True, exclude_defaults=True)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(int(value) if value == int(value) else value)
    return value if isinstance(value, str) else flow_text(value)


def _heading(field: str, vocabulary: Vocabulary) -> str:
    words = vocabulary[field].split()
    return ASIDE.get(field, field if squeezed(field)[0] in words else words[0])


def _safe(text: str) -> str:
    return f"'{text}" if _FORMULA.fullmatch(text) and not _NUMBER.fullmatch(text) else text
