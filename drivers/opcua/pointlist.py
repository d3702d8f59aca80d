"""OPC UA points in lists that engineers send: one NodeId or path each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from config.pointlist.cells import Refused
from config.pointlist.flow import flow
from drivers.opcua import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.pointlist.cells import Cells
    from config.pointlist.headings import Headings, Vocabulary

COLUMNS: Vocabulary = {
    "node": "node nodeid 节点id 节点标识 节点号 节点 opc地址 opcua地址 变量地址 节点地址 地址 "
    "opcaddress nodeaddress address",
    "part": "part",
    "publishing": "publishing",
    "sampling": "sampling",
    "server_deadband": "serverdeadband",
    "alarm": "alarm",
    "condition": "condition",
}
_LAST_NAME = re.compile(r"[^./:=;]+$")


class OpcuaListing:
    """See `config.pointlist.listing.Listing`."""

    columns = COLUMNS

    def __init__(self, rows: Sequence[Cells], headings: Headings) -> None:
        del rows, headings  # every row says all of it
        self.notes: list[str] = []
        self.wrong: list[Refused] = []
        self.unsaid: list[Refused] = []

    def is_point(self, cells: Cells) -> bool:
        return cells.has("node")

    def point(self, cells: Cells) -> dict[str, Any]:
        text = cells.raw("node")
        try:
            nodes.parse(text)
        except ValueError as error:
            what, _, hint = str(error).partition("; ")
            raise Refused(what, hint, "node") from error
        found: dict[str, Any] = {"node": text}
        for field in ("part", "publishing", "sampling", "alarm", "condition"):
            if cells.has(field):
                found[field] = cells.raw(field)
        if cells.has("server_deadband"):
            found["server_deadband"] = flow(cells, "server_deadband")
        return found

    def address(self, cells: Cells) -> dict[str, Any]:
        del cells  # a node is whole
        return {}

    def label(self, point: Mapping[str, Any]) -> str:
        last = _LAST_NAME.search(str(point["node"]))
        return last[0] if last else ""


LISTING = OpcuaListing
