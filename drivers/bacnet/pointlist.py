"""BACnet points in lists that engineers send: `AI 1`, `AI-1`, `analogInput:1`, or type and instance apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from config.pointlist.cells import Refused
from drivers.bacnet import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.pointlist.cells import Cells
    from config.pointlist.headings import Headings, Vocabulary

COLUMNS: Vocabulary = {
    "object": "object 对象标识 对象标识符 对象id 对象地址 对象 objectid objectidentifier bacnetobject "
    "bacnet对象 bacnet地址",
    "object_type": "objecttype 对象类型 bacnet类型 bacnettype 点类型 类型 type",
    "instance": "objectinstance 对象实例 对象实例号 实例号 实例 instance instancenumber instanceno",
    "property": "property 属性 属性标识 propertyid propertyidentifier",
    "index": "index 数组下标",
    "device_instance": "deviceinstance 设备实例 设备实例号 bacnet设备号 设备编号 deviceinstancenumber deviceobjectid",
}
SHORT = {
    "ai": "analog-input",
    "ao": "analog-output",
    "av": "analog-value",
    "bi": "binary-input",
    "bo": "binary-output",
    "bv": "binary-value",
    "msi": "multi-state-input",
    "mi": "multi-state-input",
    "mso": "multi-state-output",
    "mo": "multi-state-output",
    "msv": "multi-state-value",
    "mv": "multi-state-value",
    "acc": "accumulator",
    "csv": "characterstring-value",
}
LABELS = {name: short for short, name in reversed(SHORT.items())}
_OBJECT = re.compile(r"([A-Za-z][A-Za-z -]*?(?=\s*[,:.\s#_-]?\s*\d)|\d+(?=[,:]))\s*[,:.\s#_-]?\s*(\d+)")
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class BacnetListing:
    """See `config.pointlist.listing.Listing`."""

    columns = COLUMNS

    def __init__(self, rows: Sequence[Cells], headings: Headings) -> None:
        del rows, headings  # every row says all of it
        self.notes: list[str] = []
        self.wrong: list[Refused] = []
        self.unsaid: list[Refused] = []

    def is_point(self, cells: Cells) -> bool:
        return cells.has("object") or cells.has("instance")

    def point(self, cells: Cells) -> dict[str, Any]:
        found: dict[str, Any] = {"object": _object(cells)}
        if cells.has("property"):
            found["property"] = _hyphened(cells.get("property"))
        if (index := cells.number("index")) is not None:
            found["index"] = index
        return found

    def address(self, cells: Cells) -> dict[str, Any]:
        instance = cells.number("device_instance")
        return {} if instance is None else {"instance": instance}

    def label(self, point: Mapping[str, Any]) -> str:
        kind, _, instance = str(point["object"]).partition(",")
        return f"{LABELS.get(kind, kind)}-{instance}".removesuffix("-")


def _object(cells: Cells) -> str:
    if cells.has("instance") and not cells.has("object_type"):
        raise Refused("no type of the object", "write AI, AO, AV, BI, BO, BV, MSI, MSO or MSV", "object_type")
    field = "instance" if cells.has("instance") else "object"
    text = f"{cells.get('object_type')},{cells.get('instance')}" if cells.has("instance") else cells.get("object")
    match = _OBJECT.fullmatch(text)
    if match is None:
        raise Refused(f"found {text!r}, no object", "write AI 1, or analog-input,1", field)
    kind = SHORT.get(match[1].lower(), _hyphened(match[1]))
    try:
        return names.object_name(names.parse_object(f"{kind},{match[2]}"))
    except ValueError as error:
        is_kind = "type" in str(error)
        where = "object_type" if is_kind and cells.has("object_type") else field
        raise Refused(str(error), "write AI, AO, AV, BI, BO, BV, MSI, MSO or MSV" if is_kind else "", where) from error


def _hyphened(text: str) -> str:
    """`analogInput`, `Analog Input` and `present_value` as the standard writes them."""
    return re.sub(r"[\s_]+", "-", _CAPITAL.sub("-", text.strip())).lower()


LISTING = BacnetListing
