"""A whole list: from its bytes to devices with their points, and to everything that could not be taken, row by row."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from config.fields import DOTTED_ID, ID
from config.pointlist import headings as heads
from config.pointlist import sheet as sheets
from config.pointlist.cells import Refused, raise_all
from config.pointlist.point import address_of, is_spare, name_of, point_of
from config.wording import mistakes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from config.files import Protocol
    from config.pointlist.cells import Cells
    from config.pointlist.headings import Headings, Vocabulary
    from config.pointlist.listing import Listing
    from config.pointlist.sheet import Sheet

ID_LENGTH_MAX = 40
TITLE_CELLS_MAX = 2
"""A row without an address and with so few cells is a title between points."""

PLACE = ("building", "floor", "space", "risk")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not taken. `column` is its letter, empty where it is the whole row."""

    row: int
    column: str
    heading: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user says of the list: what holds where it says nothing, ids of devices, fields of headings."""

    constants: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """What the configuration knows: the protocol of each line, and what each protocol brings."""

    lines: Mapping[str, str]
    protocols: Mapping[str, Protocol]
    listings: Mapping[str, type[Listing]]

    def vocabulary(self, line: str | None) -> Vocabulary:
        """Of the protocol of a line, or of all lines. Raises `Refused` for a line that there is not."""
        if line is not None and line not in self.lines:
            raise Refused(f"no line {line!r}", f"there are {', '.join(self.lines) or 'none'}; see lines.yaml")
        spoken = [self.lines[line]] if line is not None else sorted(set(self.lines.values()))
        found: dict[str, str] = {}
        for name in spoken:
            found |= {key: words for key, words in self.listings[name].columns.items() if key not in found}
        return {**found, **{key: words for key, words in heads.GENERAL.items() if key not in found}}


@dataclass(slots=True)
class Taken:
    """`devices` as a device file holds them; `titles` are rows that are no points, and not missed."""

    sheet: Sheet
    headings: Headings
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    titles: int = 0

    @property
    def points(self) -> int:
        return sum(len(device["points"]) for device in self.devices.values())


def take(content: bytes, site: Site, wish: Wish) -> Taken:
    """Raises `SheetUnreadable`, and `Refused` for what concerns the list as a whole."""
    vocabulary = site.vocabulary(wish.constants.get("line"))
    for name in (*wish.constants, *wish.columns.values()):
        if name not in vocabulary:
            raise Refused(f"{name!r} is no field", f"there are {', '.join(vocabulary)}")
    sheet = sheets.read(content, lambda row: heads.known(row, vocabulary, wish.columns))
    found = heads.find(sheet, vocabulary, wish.columns)
    taken = Taken(sheet, found)
    rows = [_filled_down(cells, taken, last) for cells, last in _with_device(found.below(sheet, wish.constants))]
    by_protocol: dict[str, list[Cells]] = {}
    for cells in rows:
        if (protocol := site.lines.get(cells.get("line"))) is not None:
            by_protocol.setdefault(protocol, []).append(cells)
    listings = {name: site.listings[name](own, found) for name, own in by_protocol.items()}
    raise_all(wrong for listing in listings.values() for wrong in listing.wrong)
    taken.notes += [note for listing in listings.values() for note in listing.notes]
    for cells in rows:
        try:
            _Row(cells, taken, site, listings, wish).enter()
        except Refused as refused:
            column = found.of(refused.field) if refused.field else None
            at = (column.name, column.heading) if column else ("", refused.field)
            taken.refusals.append(Refusal(cells.row, *at, refused.what, refused.hint))
    return taken


def _with_device(rows: Iterable[Cells]) -> Iterator[tuple[Cells, str]]:
    """Each row with the device of the last one that names any: cells that were merged are empty but for the first."""
    last = ""
    for cells in rows:
        last = cells.texts.get("device", last)
        yield cells, last


def _filled_down(cells: Cells, taken: Taken, device: str) -> Cells:
    if device and not cells.has("device"):
        note = "an empty cell of the device is the one above it (merged cells)"
        taken.notes += [note] if note not in taken.notes else []
        return type(cells)(cells.row, {**cells.texts, "device": device}, cells.filled)
    return cells


class _Row:
    """One row on its way into `taken`."""

    def __init__(self, cells: Cells, taken: Taken, site: Site, listings: Mapping[str, Listing], wish: Wish) -> None:
        self._cells = cells
        self._taken = taken
        self._wish = wish
        self._line = cells.get("line")
        self._protocol = site.lines.get(self._line, "")
        self._listing = listings.get(self._protocol)
        self._model = site.protocols[self._protocol].point if self._protocol else None

    def enter(self) -> None:
        """Raises `Refused`."""
        cells = self._cells
        if is_spare(cells) or (self._listing is not None and self._is_title(self._listing)):
            self._taken.titles += 1
            return
        if self._listing is None:
            hint = "write --line, or a line of lines.yaml"
            raise Refused(f"no line {self._line!r}" if self._line else "no line", hint, "line")
        point, doubt = point_of(cells, self._listing, self._taken.headings)
        note = str(doubt or "")
        self._taken.notes += [note] if note and note not in self._taken.notes else []
        device, told = self._device()
        before = self._taken.devices.get(device)
        self._refuse_other(device, told, before)
        points = {} if before is None else before["points"]
        name = self._id(self._listing, point, points)
        self._judge(point)
        if before is None:
            self._taken.devices[device] = {**told, "points": points}
        else:
            before |= {key: value for key, value in told.items() if key not in before}
        points[name] = point

    def _is_title(self, listing: Listing) -> bool:
        if listing.is_point(self._cells) or self._cells.has("derived"):
            return False
        if self._cells.filled <= TITLE_CELLS_MAX:
            return True
        raise Refused("no address", "fill it in, or delete the row")

    def _device(self) -> tuple[str, dict[str, Any]]:
        """Its id, and what this row says of it."""
        cells = self._cells
        written = cells.raw("device")
        if not written:
            raise Refused("no device", "write --device ID", "device")
        found = self._wish.devices.get(written, written)
        device = found if re.fullmatch(ID, found) else _slug(found)
        if not re.fullmatch(ID, device):
            hint = f"name it: --device {written!r}=ID, of a-z 0-9 _ -"
            raise Refused(f"{found!r} cannot be an id", hint, "device")
        told: dict[str, Any] = name_of(cells, "device_name") or ({"name": written} if device != written else {})
        told["line"] = self._line
        if not cells.has("system"):
            raise Refused("no system", "write --system, such as pwr.lv", "system")
        told["system"] = cells.get("system")
        assert self._listing is not None, "it was asked for before"
        address = address_of(cells, self._listing)
        told |= {"address": address} if address else {}
        place = {key: cells.get(key) for key in PLACE if cells.has(key)}
        return device, told | ({"place": place} if place else {})

    def _refuse_other(self, device: str, told: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        """One device has one line and one address."""
        for key in ("line", "system", "address") if before is not None else ():
            if before is not None and key in told and key in before and told[key] != before[key]:
                what = f"device {device} has {key} {_short(before[key])} in a row above, here {_short(told[key])}"
                raise Refused(what, "give each device a name of its own")

    def _id(self, listing: Listing, point: Mapping[str, Any], taken: Mapping[str, Any]) -> str:
        """The one that is written; else from an English name; else from where the point is."""
        written = self._cells.raw("id")
        if written:
            name = written if _is_id(written) else _slug(written)
            if not _is_id(name):
                raise Refused(f"{written!r} cannot be an id", "use 1 to 40 of a-z 0-9 _ - and dots", "id")
            if name in taken:
                raise Refused(f"{name} was there before", "write another id", "id")
            return name
        label = "" if "derived" in point else _slug(listing.label(point))
        english = _slug(self._cells.raw("name_en") or self._cells.raw("name_zh"))
        found = next((name for name in (english, label) if _is_id(name) and name not in taken), "")
        if not found:
            raise Refused("there was a point of this name and place before", "write an id, or delete the row")
        return found

    def _judge(self, point: dict[str, Any]) -> None:
        """As the configuration would."""
        if self._model is None or "derived" in point:
            return
        try:
            self._model.model_validate(point)
        except ValidationError as error:
            for mistake in mistakes(error.errors(include_url=False), self._model, point):
                key = str(mistake.path[0]) if mistake.path else ""
                raise Refused(mistake.message, mistake.hint, key) from error


def _is_id(name: str) -> bool:
    return bool(re.fullmatch(DOTTED_ID, name)) and len(name) <= ID_LENGTH_MAX


def _slug(name: str) -> str:
    """An id from a name in ASCII; empty for others, of which something would be lost."""
    if not name.isascii():
        return ""
    return re.sub(r"[^a-z0-9_.-]+", "_", name.lower()).strip("_.-")[:ID_LENGTH_MAX]


def _short(value: Any) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)
