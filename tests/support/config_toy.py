"""A small protocol of our own and a folder to write into, so that tests of the configuration depend on no driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pytest

from config.errors import ConfigInvalid, Problem
from config.files import AddressSpec, LineSpec, PointSpec, Protocol
from config.load import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from config.model import Config, Device
    from config.pointlist.cells import Cells, Refused
    from config.pointlist.headings import Headings

GATEWAY = "site: h01\ngateway: gw-1\nuplinks:\n  main: {brokers: [mqtt://127.0.0.1]}\n"
LINES = "lines:\n  one: {protocol: toy, host: 127.0.0.1}\n"


class ToyLine(LineSpec):
    protocol: Literal["toy"]
    host: str


class ToyAddress(AddressSpec):
    identity: ClassVar[tuple[str, ...]] = ("unit", "sub")
    gap: int = 0
    unit: int = 1
    sub: int = 0


class ToyPoint(PointSpec):
    at: int


class ToyListing:
    """See `config.pointlist.listing.Listing`."""

    columns: Mapping[str, str] = {"at": "at"}

    def __init__(self, rows: Sequence[Cells], headings: Headings) -> None:
        del rows, headings
        self.notes: Sequence[str] = []
        self.wrong: Sequence[Refused] = []
        self.unsaid: Sequence[Refused] = []

    def is_point(self, cells: Cells) -> bool:
        return cells.has("at")

    def point(self, cells: Cells) -> dict[str, Any]:
        return {"at": cells.number("at")}

    def address(self, cells: Cells) -> dict[str, Any]:
        del cells
        return {}

    def label(self, point: Mapping[str, Any]) -> str:
        return str(point["at"])


TOY: Mapping[str, Protocol] = {"toy": Protocol(ToyLine, ToyAddress, ToyPoint, lambda: ToyListing)}


def accepted(folder: Path, device: str, **files: str) -> Config:
    """Load a folder with this device file, and others: `gateway`, `lines`, `more` devices, `rules`, profile `own`."""
    places = {
        "gateway": "gateway.yaml",
        "lines": "lines.yaml",
        "device": "devices/device.yaml",
        "more": "devices/more.yaml",
        "own": "profiles/own.yaml",
        "rules": "alarms/rules.yaml",
    }
    for name, text in {"gateway": GATEWAY, "lines": LINES, "device": device, **files}.items():
        path = folder / places[name]
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load(folder, TOY)


def only_device(folder: Path, device: str, **files: str) -> Device:
    (found,) = accepted(folder, device, **files).devices
    return found


def refused(folder: Path, device: str, **files: str) -> tuple[Problem, ...]:
    """The problems of a folder that has to be refused."""
    with pytest.raises(ConfigInvalid) as caught:
        accepted(folder, device, **files)
    return caught.value.problems
