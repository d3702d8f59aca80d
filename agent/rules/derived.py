"""The derived points of all devices: readings in, readings of what follows from them out.

Whatever a reading changed is followed through everything that is computed from it, each figure once, in the order in
which they depend on each other; what comes out is one reading for each device. While a poll is confirmed without a
change, what is computed from it is confirmed too, and only what adds up over time is computed.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from agent.clock import Now
from agent.rules.cells import Cell, Evaluator
from agent.rules.figures import Figure, Gap, Kept, Result, Starts, Sum
from agent.rules.gauges import GOOD, UNKNOWN
from drivers.contract import Poll, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.rules.cells import Key
    from config.model import Derived, Device, Point, PointType
    from drivers.contract import Span, Value

STORE_S = 10.0
"""What adds up is stored with the next telemetry, and at the latest after this."""

STATE_PREFIX = "derived/"
"""Keys of the state that the journal keeps for sums: this, the device and the point."""


@dataclass(slots=True, eq=False)
class _Node:
    """One derived point in its place: of which device, the how-manieth, and what is computed from it."""

    point: Point
    figure: Figure
    board: _Board
    index: int
    order: int = 0
    cell: Cell | None = None
    followers: list[_Node] = field(default_factory=list)


class _Board:
    """The present values of the derived points of one device."""

    __slots__ = ("flaws", "heard", "is_new", "poll", "values")

    def __init__(self, device: Device) -> None:
        self.poll = Poll(device, device.derived, max(point.poll_s for point in device.derived))
        self.values: list[Value] = [None] * len(device.derived)
        self.flaws: dict[int, Quality] = dict.fromkeys(range(len(device.derived)), UNKNOWN)
        self.is_new = True
        self.heard = float("-inf")

    def put(self, index: int, value: Value, quality: Quality) -> bool:
        """True where that is news."""
        if self.values[index] == value and self.flaws.get(index, GOOD) == quality:
            return False
        self.values[index] = value
        self.flaws.pop(index, None)
        if quality is not GOOD:
            self.flaws[index] = quality
        return True

    def reading(self, now: Now, changed: list[int]) -> Reading:
        spans: list[Span] = [(index, index + 1) for index in sorted(changed)]
        if self.is_new:
            self.is_new, spans = False, [(0, len(self.values))]
        self.heard = now.mono
        return Reading(self.poll, now.wall, now.mono, tuple(self.values), dict(self.flaws), spans)


@dataclass(slots=True)
class _Watch:
    """The cells of one poll, by ascending index into it, and everything that follows from them, in order."""

    indexes: list[int]
    cells: list[Cell]
    nodes: list[_Node]
    boards: list[_Board]
    heard: float = float("-inf")


class DerivedPoints:
    """All of them, and the last reading of each device that has some."""

    def __init__(self, devices: Sequence[Device] = (), stored: Mapping[str, bytes] | None = None) -> None:
        self._stored = stored or {}
        self._types: dict[Key, PointType] = {
            (point.device, point.id): point.type for device in devices for point in device.all_points
        }
        self._cells: dict[Key, Cell] = {}
        self._readers: dict[Cell, list[_Node]] = {}
        self._watches: dict[Poll, _Watch | None] = {}
        self._dirty: dict[str, Sum | Starts] = {}
        self._now = Now(0.0, 0.0)
        self._stored_at = 0.0
        self._nodes: dict[Key, _Node] = {}
        self._boards: dict[str, _Board] = {}
        for device in devices:
            if device.derived:
                self._add(device)
        self._order()
        self._latest: dict[Poll, Reading] = {}

    # --- what is computed from what ---------------------------------------------------------------------------------

    def _add(self, device: Device) -> None:
        board = self._boards[device.id] = _Board(device)
        sums: dict[str, Sum] = {}
        for gaps in (False, True):  # a gap is one of a sum that is there already
            for index, point in enumerate(device.derived):
                assert point.derived is not None
                if (point.derived.kind == "gap") is gaps:
                    figure = Gap(sums[point.derived.of]) if gaps else self._figure(point, point.derived)
                    if isinstance(figure, Sum):
                        sums[point.id] = figure
                    self._nodes[point.device, point.id] = _Node(point, figure, board, index)

    def _figure(self, point: Point, derived: Derived) -> Figure:
        assert derived.formula is not None
        evaluator = Evaluator(derived.formula, self._cell, self._types)
        if derived.kind == "expression":
            return Result(point, evaluator)
        raw = self._stored.get(_state_key(point))
        kept = msgspec.msgpack.decode(raw, type=Kept) if raw is not None else None
        return Starts(evaluator, kept) if derived.kind == "starts" else Sum(evaluator, kept)

    def _cell(self, device: str, point: str) -> Cell:
        return self._cells.setdefault((device, point), Cell())

    def _order(self) -> None:
        """Who follows whom; a figure comes after everything that it is computed from, a gap after its sum."""
        for key, node in self._nodes.items():
            for cell in node.figure.cells:
                self._readers.setdefault(cell, []).append(node)
            node.cell = self._cells.get(key)
            if node.cell is not None:
                node.cell.heard = node.board
        for node in self._nodes.values():
            node.followers = list(self._readers.get(node.cell, ())) if node.cell is not None else []
            derived = node.point.derived
            if derived is not None and derived.kind == "gap":
                self._nodes[node.point.device, derived.of].followers.append(node)
        placed: dict[_Node, None] = {}
        for node in self._nodes.values():
            _place(node, placed)
        for order, node in enumerate(reversed(placed)):
            node.order = order

    def _watch(self, poll: Poll) -> _Watch | None:
        """Compiled once for each poll; nothing where nothing follows from it."""
        if poll in self._watches:
            return self._watches[poll]
        found = [(index, self._cells.get((point.device, point.id))) for index, point in enumerate(poll.points)]
        cells = [(index, cell) for index, cell in found if cell is not None]
        followers: dict[_Node, None] = {}
        for _, cell in cells:
            for node in self._readers.get(cell, ()):
                _place(node, followers)
        nodes = sorted(followers, key=lambda node: node.order)
        boards = list(dict.fromkeys(node.board for node in nodes))
        watch = _Watch([index for index, _ in cells], [cell for _, cell in cells], nodes, boards)
        for cell in watch.cells:
            cell.heard = watch
        self._watches[poll] = watch if nodes else None
        return self._watches[poll]

    # --- readings ---------------------------------------------------------------------------------------------------

    def take(self, reading: Reading) -> list[Reading]:
        """What follows from a reading, one for each device."""
        watch = self._watch(reading.poll)
        if watch is None:
            return []
        self._now = now = Now(reading.time, reading.mono)
        touched = self._hear(reading, watch)
        watch.heard = reading.mono
        changed: dict[_Board, list[int]] = {board: [] for board in watch.boards}
        for node in watch.nodes:
            if node in touched or node.figure.adds_up:
                self._compute(node, now, touched, changed)
        readings = [board.reading(now, indexes) for board, indexes in changed.items()]
        self._latest.update((each.poll, each) for each in readings)
        return readings

    def _hear(self, reading: Reading, watch: _Watch) -> set[_Node]:
        touched: set[_Node] = set()
        indexes, cells = watch.indexes, watch.cells
        for start, stop in reading.changed:
            for at in range(bisect_left(indexes, start), bisect_left(indexes, stop)):
                index, cell = indexes[at], cells[at]
                cell.put(reading.values[index], reading.flaws.get(index, GOOD), reading.mono, watch.heard)
                touched.update(self._readers[cell])
        return touched

    def _compute(self, node: _Node, now: Now, touched: set[_Node], changed: dict[_Board, list[int]]) -> None:
        figure = node.figure
        value, quality = figure.look(now)
        if isinstance(figure, (Sum, Starts)):
            self._dirty[_state_key(node.point)] = figure
        if not node.board.put(node.index, value, quality):
            return
        changed[node.board].append(node.index)
        touched.update(node.followers)
        if node.cell is not None:
            node.cell.put(value, quality, now.mono, node.board.heard)

    def of(self, device: str) -> tuple[Poll, Reading | None] | None:
        """The derived points of a device as they were computed last."""
        board = self._boards.get(device)
        return None if board is None else (board.poll, self._latest.get(board.poll))

    def present(self, now: Now) -> dict[str, bytes]:
        """What all of them have added up."""
        return {
            _state_key(node.point): msgspec.msgpack.encode(node.figure.keep(now))
            for node in self._nodes.values()
            if isinstance(node.figure, (Sum, Starts))
        }

    @property
    def is_dirty(self) -> bool:
        """Something has been adding up for so long that it should be stored."""
        return bool(self._dirty) and self._now.mono - self._stored_at >= STORE_S

    def take_states(self) -> dict[str, bytes]:
        """What added up since the last call; stored with the telemetry that tells it."""
        dirty, self._dirty = self._dirty, {}
        self._stored_at = self._now.mono
        return {key: msgspec.msgpack.encode(figure.keep(self._now)) for key, figure in dirty.items()}


def _state_key(point: Point) -> str:
    return f"{STATE_PREFIX}{point.device}/{point.id}"


def _place(node: _Node, placed: dict[_Node, None]) -> None:
    """The node after everything that follows from it."""
    if node not in placed:
        for follower in node.followers:
            _place(follower, placed)
        placed[node] = None
