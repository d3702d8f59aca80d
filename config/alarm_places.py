"""The alarms of one device from all places where they may be written: at the device, in rules for many, from packs.

Here is which row means which point, and what happens when two places, or a place and the device, do not fit. What is
wrong with one alarm on one point is `config.alarms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.alarms import alarm
from config.files import AlarmSpec
from config.model import Alarm, Point
from config.open_ids import NUMBER, opened
from config.pack_rows import PackSource, Row, bound_rows, missing, numbered, overridden
from config.validate import validate, validate_rows
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from config.alarm_files import AlarmsSpec
    from config.alarms import Owner
    from config.document import Key
    from config.files import PointSpec
    from config.layers import Source
    from config.packs import Packs
    from config.validate import Report


@dataclass(frozen=True, slots=True)
class Block:
    """What is written under one `alarms:`. `told`, of a rule for many devices: what was said of it already."""

    spec: AlarmsSpec
    source: Source
    told: set[str] | None = None

    def tells(self, what: str) -> bool:
        """Whether it is news, and now no longer."""
        if self.told is None:
            return True
        news = what not in self.told
        self.told.add(what)
        return news


@dataclass(frozen=True, slots=True)
class Alarms:
    """Those that run, and those that wait for somebody to confirm what they depend on."""

    active: tuple[Alarm, ...]
    unconfirmed: tuple[Alarm, ...]


class Gathering:
    """The alarms of one device. `unsure`: not every point is known, so a missing one is no mistake."""

    def __init__(
        self,
        owner: Owner,
        points: Mapping[str, Point | PointSpec | None],
        packs: Packs,
        report: Report,
        *,
        unsure: bool,
    ) -> None:
        self._owner = owner
        self._points = points
        self._packs = packs
        self._report = report
        self._unsure = unsure

    def gather(self, blocks: Iterable[Block]) -> Alarms:
        """All alarms of the device; what is wrong is reported."""
        blocks = list(blocks)
        own = {name for block in blocks if block.told is None for name in block.spec.pack}
        rows = [row for block in blocks for row in self._present(block, () if block.told is None else own)]
        specs = validate_rows(AlarmSpec, {str(n): row.source for n, row in enumerate(rows)}, self._report)
        taken: dict[str, Source] = {}
        active: list[Alarm] = []
        unconfirmed: list[Alarm] = []
        for row, spec in zip(rows, specs.values(), strict=True):
            made = self._made(row, spec)
            if spec is None or made is None or self._is_double(made, row, taken):
                continue
            (active if _may_run(spec, row, self._report) else unconfirmed).append(made)
        return Alarms(tuple(active), tuple(unconfirmed))

    def _made(self, row: Row, spec: AlarmSpec | None) -> Alarm | None:
        if spec is not None and not spec.point:
            return alarm(row.key, spec, self._owner, None, row.source, self._report)
        point = self._points.get(row.point) if row.point is not None else None
        if spec is None or not isinstance(point, Point) or not self._is_in_its_unit(spec, point, row):
            return None
        return alarm(row.key, spec, self._owner, point, row.source, self._report)

    def _is_in_its_unit(self, spec: AlarmSpec, point: Point, row: Row) -> bool:
        if spec.unit in {None, point.unit}:
            return True
        message = f"{point.id} is in {shown(point.unit)}, the alarm in {shown(spec.unit)}"
        self._report.refuse(row.source, ("unit",), message, "correct the point, or write unit: and its limits for it")
        return False

    def _is_double(self, made: Alarm, row: Row, taken: dict[str, Source]) -> bool:
        first = taken.setdefault(made.id, row.source)
        if first is row.source:
            return False
        place = first.problem((), "")
        message = f"{made.id} is an alarm already, by {place.file}:{place.line}"
        hint = "write another key, or leave one of the two out"
        if isinstance(first, PackSource):
            hint = "write another key, or change the pack's alarm under override"
        self._report.refuse(row.source, (), message, hint, at_key=True)
        return True

    # --- which rows there are -------------------------------------------------------------------------------------

    def _present(self, block: Block, named: Collection[str]) -> Iterator[Row]:
        """The rows of a block whose points the device has. A pack that the device has `named` itself is its own."""
        for name in dict.fromkeys(block.spec.pack):
            if name not in named:
                yield from self._of_pack(name, block)
        self._check_names(block)
        for key in block.spec.own:
            source = block.source.part(key)
            found = list(numbered(Row(key, source), self._points))
            yield from found
            if not found and not self._unsure and source.data.get("optional") is not True:
                self._miss(key, source, block)

    def _miss(self, key: str, source: Source, block: Block) -> None:
        """An alarm that is written out, on a point that the device has not."""
        if block.tells(key):
            name = source.data["point"]
            whose = "this device" if block.told is None else self._owner.device
            message = f"found {shown(name)}, no point of {whose}"
            self._report.refuse(source, ("point",), message, near(name, self._points))
            if isinstance(name, str):
                validate(AlarmSpec, source, self._report)  # what else is wrong with it

    def _of_pack(self, name: str, block: Block) -> Iterator[Row]:
        pack = self._packs.get(name)
        lacking: dict[str, str] = {}
        bound = False
        for key, below in pack.rows.items() if pack else ():
            if key in block.spec.omit:
                continue
            row = overridden(Row(key, below, name), block.spec, block.source)
            found = list(bound_rows(row, block.spec, block.source, self._points))
            bound = bound or bool(found)
            yield from (each for each in found if each.key not in block.spec.omit)
            if not found and not self._unsure:
                self._lack(row, block, lacking)
        if lacking and block.tells(name):
            what = ", ".join(f"{point} ({key})" for key, point in lacking.items())
            message = f"{name} needs points that {self._owner.device} has not: {what}"
            hint = f"add them, or write omit: [{', '.join(lacking)}]"
            self._report.refuse(block.source, ("pack",), message, hint)
        elif pack and not bound and not self._unsure and block.told is None:
            message = f"{name} watches nothing that {self._owner.device} has"
            self._report.refuse(block.source, ("pack",), message, "remove it, or name the points as the pack does")

    def _lack(self, row: Row, block: Block, lacking: dict[str, str]) -> None:
        """An alarm of a pack, on a point that the device has not."""
        if block.told is None and row.key in block.spec.override:
            own = block.spec.override[row.key].get("point")
            message = (
                f"{self._owner.device} has no point {missing(row, self._points)}, which {row.key} of {row.pack} watches"
            )
            hint = near(own, self._points) if own else "remove the override, or write point: with the one it has"
            self._report.refuse(row.source, ("point",) if own else (), message, hint, at_key=not own)
        elif row.source.data.get("optional") is not True:
            lacking[row.key] = missing(row, self._points)

    def _check_names(self, block: Block) -> None:
        """Whether packs, and the alarms of them that are changed or left out, exist."""
        packs = [(name, self._packs.get(name)) for name in block.spec.pack]
        for name in (name for name, pack in packs if pack is None):
            self._report.refuse(
                block.source, ("pack",), f"found {shown(name)}, no alarm pack", near(name, self._packs.names)
            )
        if any(pack is None for _, pack in packs):
            return
        keys = [key for _, pack in packs if pack for key in pack.rows]
        for path, key in _named(block.spec):
            if not _names_one(key, keys):
                message = f"found {shown(key)}, no alarm of " + ("the pack" if packs else "a pack: none is named")
                hint = near(key, keys) if packs else "write pack: beside it"
                self._report.refuse(block.source, path, message, hint, at_key=True)


def _named(spec: AlarmsSpec) -> Iterator[tuple[tuple[Key, ...], str]]:
    """Every alarm of a pack that is changed or left out, by where that is written."""
    yield from ((("override", key), key) for key in spec.override)
    yield from ((("omit", index), key) for index, key in enumerate(spec.omit))


def _names_one(key: str, keys: Iterable[str]) -> bool:
    """Whether it is one of the keys, or one that a key with an open number becomes."""
    return any(key == each or (NUMBER in each and opened(each).fullmatch(key)) for each in keys)


def _may_run(spec: AlarmSpec, row: Row, report: Report) -> bool:
    """Whether nothing has to be confirmed, or somebody has."""
    if spec.depends_on is None:
        return True
    if spec.confirmed_by is None:
        return False
    written = row.source.layers[0]
    if not all(written.document.has((*written.path, "limit", level)) for level in spec.limit or ()):
        message = "the limit that is confirmed is not written"
        report.refuse(row.source, ("confirmed_by",), message, "write limit: beside it, as confirmed for this site")
    return True
