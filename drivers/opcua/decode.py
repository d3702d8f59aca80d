"""The two answers of the hot path, publish and read, from their bytes to samples (OPC 10000-6, 5.2). Pure.

The library needs about 16 us for one notification. Here, neighbours of one shape (same fields, same scalar type) are
decoded together by one compiled `struct`. What no point can hold (structures, arrays) is walked over. What is of a kind
that is not known here goes to the library (`library`), which is also the oracle of the tests, with one exception:
asyncua 2.1.0 expects the two picosecond fields of a value behind both times, OPC 10000-6 puts each behind its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

from drivers.opcua import walk
from drivers.opcua.kinds import ARRAY, ENCODED, GUID, LOCALIZED_TEXT, NULL, STRING
from drivers.opcua.walk import Undecodable, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

Sample = tuple[int, int, object, int, int]
"""Handle, type number, value, status code, source time in ticks (0: none).

Where the source gives no time, it is the server's. Arrays, and the types in `kinds.ENCODED`, come as the bytes that
they are encoded in, what else is no scalar as `None`.
"""

_READ_RESPONSE = 634
_PUBLISH_RESPONSE = 829
_DATA_CHANGE = 811
_STATUS_CHANGE = 820
_EVENTS = 916

_VALUE, _STATUS, _SOURCE, _SERVER, _SOURCE_PS, _SERVER_PS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_WINDOW = 256
"""How many neighbours are compared at once: bounds the work where types alternate."""

_U32 = Struct("<I")
_EMPTY = bytes(4)
_I64 = Struct("<q")
_RESPONSE_HEADER = Struct("<qII")
_MESSAGE_HEAD = Struct("<?Iqi")

_SCALARS = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d", 13: "q", 19: "I"}


Fields = tuple[tuple[int, object], ...]
"""What was selected of one event: type number and value of each, as in a sample."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One publish response. `number` is the sequence number; a keep-alive has nothing but that. An event is the handle
    of its item and its fields.
    """

    result: int
    subscription: int = 0
    number: int = 0
    keep_alive: bool = True
    samples: tuple[Sample, ...] = ()
    status: int | None = None
    events: tuple[tuple[int, Fields], ...] = ()


@dataclass(frozen=True, slots=True)
class Values:
    """One read response; the handle of a sample is its place in the request."""

    result: int
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class _Layout:
    """One shape of a sample. `at` is where its mask stands, in front of it the handle, if it has one."""

    struct: Struct
    kind: int
    has_status: bool
    has_time: bool

    def samples(self, rows: list[tuple[int, object, int, int]]) -> list[Sample]:
        kind = self.kind
        if self.has_status and self.has_time:
            return [(handle, kind, value, status, ticks) for handle, value, status, ticks in rows]
        if self.has_time:
            return [(handle, kind, value, 0, ticks) for handle, value, ticks in rows]  # type: ignore[misc]  # shape known by layout
        if self.has_status:
            return [(handle, kind, value, status, 0) for handle, value, status in rows]  # type: ignore[misc]  # shape known by layout
        return [(handle, kind, value, 0, 0) for handle, value in rows]  # type: ignore[misc]  # shape known by layout


def values(body: bytes) -> Values:
    """A ReadResponse. Raises `Undecodable` or `struct.error`."""
    result, pos = _header(body, _READ_RESPONSE)
    if result & 0x8000_0000:
        return Values(result)
    count, pos = walk.count(body, pos, 1)
    samples, _ = _samples(body, pos, count, keyed=False)
    return Values(result, tuple(samples))


def publication(body: bytes) -> Publication:
    """A PublishResponse. Raises as `values`, and `Unknown` where the library may know more."""
    result, pos = _header(body, _PUBLISH_RESPONSE)
    if result & 0x8000_0000:
        return Publication(result)
    (subscription,) = _U32.unpack_from(body, pos)
    available, pos = walk.count(body, pos + 4, 4)
    _, number, _, parts = _MESSAGE_HEAD.unpack_from(body, pos + 4 * available)
    pos += 4 * available + _MESSAGE_HEAD.size
    samples: list[Sample] = []
    events: list[tuple[int, Fields]] = []
    status = None
    for _ in range(parts):
        kind, start, pos = _extension(body, pos)
        if kind == _DATA_CHANGE:
            count, start = walk.count(body, start, 5)
            samples += _samples(body[:pos], start, count, keyed=True)[0]
        elif kind == _EVENTS:
            events += _events(body[:pos], start)
        elif kind == _STATUS_CHANGE:
            (status,) = _U32.unpack_from(body, start)
        elif start < pos:
            raise Unknown(f"a notification of type {kind}")
    return Publication(result, subscription, number, parts <= 0, tuple(samples), status, tuple(events))


def _events(body: bytes, pos: int) -> Iterator[tuple[int, Fields]]:
    count, pos = walk.count(body, pos, 8)
    for _ in range(count):
        (handle,) = _U32.unpack_from(body, pos)
        size, pos = walk.count(body, pos + 4, 1)
        fields = []
        for _ in range(size):
            kind, value, pos = _variant(body, pos)
            fields.append((kind, value))
        yield handle, tuple(fields)


def _header(body: bytes, expected: int) -> tuple[int, int]:
    """Service result and where the answer itself begins."""
    kind, pos = _node_number(body, 0)
    if kind != expected:
        raise Undecodable(f"an answer of type {kind} where {expected} was due")
    _, _, result = _RESPONSE_HEADER.unpack_from(body, pos)
    plain = pos + _RESPONSE_HEADER.size
    # No diagnostics, no strings (null or empty), no additional header: what every server sends.
    if body[plain : plain + 1] == b"\0" and body[plain + 1 : plain + 8] in _NO_EXTRAS:
        return result, plain + 8
    strings, pos = walk.count(body, walk.diagnostic_info(body, plain), 4)
    for _ in range(strings):
        pos = walk.text(body, pos)
    return result, walk.extension_object(body, pos)


_NO_EXTRAS = (b"\0\0\0\0\0\0\0", b"\xff\xff\xff\xff\0\0\0")


def _node_number(body: bytes, pos: int) -> tuple[int, int]:
    """The number of a standard type; 0 for any other."""
    if body[pos : pos + 2] == b"\x01\x00":
        return int.from_bytes(body[pos + 2 : pos + 4], "little"), pos + 4
    numeric = body[pos : pos + 3] == b"\x02\x00\x00"
    return int.from_bytes(body[pos + 3 : pos + 7], "little") if numeric else 0, walk.node_id(body, pos)


def _extension(body: bytes, pos: int) -> tuple[int, int, int]:
    """Type number, start and end of an extension object."""
    kind, pos = _node_number(body, pos)
    encoding, pos = walk.byte(body, pos)
    length, start = walk.count(body, pos, 1) if encoding else (0, pos)
    return kind, start, start + length


def _samples(body: bytes, pos: int, count: int, *, keyed: bool) -> tuple[list[Sample], int]:
    """`count` values one after the other, each behind its client handle if `keyed`; and where they end."""
    out: list[Sample] = []
    at = 4 if keyed else 0
    while len(out) < count:
        shape = body[pos + at : pos + at + 2]
        layout = _layout(shape) if len(shape) == 2 else None  # noqa: PLR2004 - mask and type
        if layout is None:
            sample, pos = _single(body, pos, keyed=keyed, place=len(out))
            out.append(sample)
            continue
        size = at + layout.struct.size
        run = _run(body, pos + at, size, shape, count - len(out))
        stop = pos + run * size
        if stop > len(body):
            raise Undecodable("the answer is cut short")
        if keyed:
            rows = list(_keyed(shape).iter_unpack(body[pos:stop]))
        else:
            rows = [(place, *row) for place, row in enumerate(layout.struct.iter_unpack(body[pos:stop]), len(out))]
        out += layout.samples(rows)
        pos = stop
    return out, pos


def _run(body: bytes, first: int, size: int, shape: bytes, most: int) -> int:
    """How many samples from here on have the same shape; each is known to begin where the one before it ends."""
    if body[first + size : first + size + 2] != shape:
        return 1
    n = min(most, (len(body) - first) // size + 1, _WINDOW)
    masks, kinds = body[first : first + n * size : size], body[first + 1 : first + 1 + n * size : size]
    same = min(len(masks) - len(masks.lstrip(shape[:1])), len(kinds) - len(kinds.lstrip(shape[1:])))
    return max(1, min(same, n))


def _fields(mask: int) -> str:
    """What follows the value: status and the better time are read, the rest is skipped."""
    server = "8x" if mask & _SOURCE else "q"
    order = ((_STATUS, "I"), (_SOURCE, "q"), (_SOURCE_PS, "2x"), (_SERVER, server), (_SERVER_PS, "2x"))
    return "".join(field for bit, field in order if mask & bit)


@lru_cache(maxsize=1024)
def _layout(shape: bytes) -> _Layout | None:
    mask, kind = shape
    if not mask & _VALUE or mask & 0xC0 or kind not in _SCALARS:
        return None
    has_time = bool(mask & (_SOURCE | _SERVER))
    return _Layout(Struct(f"<2x{_SCALARS[kind]}{_fields(mask)}"), kind, bool(mask & _STATUS), has_time)


@lru_cache(maxsize=1024)
def _keyed(shape: bytes) -> Struct:
    mask, kind = shape
    return Struct(f"<I2x{_SCALARS[kind]}{_fields(mask)}")


def _single(body: bytes, pos: int, *, keyed: bool, place: int) -> tuple[Sample, int]:
    """One value of any shape."""
    handle = place
    if keyed:
        (handle,) = _U32.unpack_from(body, pos)
        pos += 4
    mask, pos = walk.byte(body, pos)
    kind, value, status, ticks = NULL, None, 0, 0
    if mask & _VALUE:
        kind, value, pos = _variant(body, pos)
    if mask & _STATUS:
        (status,) = _U32.unpack_from(body, pos)
        pos += 4
    source, server = bool(mask & _SOURCE), bool(mask & _SERVER)
    picoseconds = 2 * bool(mask & _SOURCE_PS)
    if source or server:
        (ticks,) = _I64.unpack_from(body, pos if source else pos + picoseconds)
    pos += 8 * source + picoseconds + 8 * server + 2 * bool(mask & _SERVER_PS)
    if pos > len(body):
        raise Undecodable("a value is cut short")
    return (handle, kind, value, status, ticks), pos


def _variant(body: bytes, pos: int) -> tuple[int, object, int]:
    """Encoding byte, value and end of a variant."""
    kind, start = walk.byte(body, pos)
    if kind in _SCALARS or kind in _PLAIN:
        return kind, *scalar(kind, body, start)
    stop = walk.variant(body, pos)
    return kind, (body[start:stop] if kind & ARRAY or kind in ENCODED else None), stop


_PLAIN = frozenset((STRING, LOCALIZED_TEXT, GUID))


def scalar(kind: int, body: bytes, pos: int) -> tuple[object, int]:
    """A value of a built-in type without its encoding byte, and its end; `None` for what is no scalar."""
    if kind in _SCALARS:
        one = Struct(f"<{_SCALARS[kind]}")
        return one.unpack_from(body, pos)[0], pos + one.size
    if kind == STRING:
        return _string(body, pos)
    if kind == LOCALIZED_TEXT:
        return _localized(body, pos)
    return walk.guid(body, pos) if kind == GUID else (None, walk.element(body, pos, kind))


def _string(body: bytes, pos: int) -> tuple[str | bytes | None, int]:
    """A text, or its bytes where they are not UTF-8: what cannot be read is not guessed at."""
    stop = walk.text(body, pos)
    raw = body[pos + 4 : stop]
    if not raw and body[pos : pos + 4] != _EMPTY:
        return None, stop
    try:
        return raw.decode("utf-8"), stop
    except UnicodeDecodeError:
        return raw, stop


def _localized(body: bytes, pos: int) -> tuple[str | bytes | None, int]:
    mask, pos = walk.byte(body, pos)
    text: str | bytes | None = None
    if mask & 1:
        _, pos = _string(body, pos)
    if mask & 2:
        text, pos = _string(body, pos)
    return text, pos
