"""Coverage-guided fuzzing of what an OPC UA server's answers are decoded with. `make fuzz` runs it for half a minute.

A finding is an exception other than the two that say that the bytes are not OPC UA, more than two seconds for one
answer, or more than two gigabytes of memory. The corpus begins with answers as the library encodes them.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import atheris
from asyncua import ua
from asyncua.ua import ua_binary

with atheris.instrument_imports(include=["drivers.opcua"]):
    from drivers.opcua import decode, library
    from drivers.opcua.conditions import FIELDS, Conditions, Following
    from drivers.opcua.faults import GARBLED
    from drivers.opcua.learn import _enum, _names, _structure
    from drivers.opcua.parts import Field, Missing, Structure, Types, find
    from drivers.opcua.walk import Undecodable, Unknown

TYPES = Types(
    {
        (2, 1): Structure("plain", (Field("a", 12), Field("next", (2, 1)), Field("b", 11, is_array=True))),
        (2, 2): Structure("union", (Field("a", 22), Field("b", (2, 1), is_array=True))),
    }
)
FOLLOWING = [Following(0, (2, "gas"), "", "active"), Following(1, (2, "gas"), "Low", "message")]


def one(data: bytes) -> None:
    """Decode one input in every way in which an answer may be decoded."""
    for decoding in (_values, _events, _learnt):
        try:
            decoding(data)
        except Unknown:
            _fallback(data)
        except (Undecodable, struct.error):
            continue


def _values(data: bytes) -> None:
    for sample in (*decode.values(data).samples, *decode.publication(data).samples):
        _parts(sample)


def _parts(sample: decode.Sample) -> None:
    _, kind, value, _, _ = sample
    if isinstance(value, bytes):
        for way in ((0,), ("b",), ("next", "a"), (1, "b", 0)):
            try:
                found, pos = find(TYPES, kind, value, way)
                decode.scalar(found, value, pos)
            except Missing:
                continue


def _events(data: bytes) -> None:
    conditions = Conditions(FOLLOWING)
    for sample in conditions.take(fields for _, fields in decode.publication(data).events):
        assert sample[0] in {0, 1}


def _fallback(data: bytes) -> None:
    """Only what ours does not know gets there, whole; and what it has left encoded."""
    with suppress(*GARBLED):
        library.publication(data)
    with suppress(*GARBLED):
        library.values(data)
    with suppress(*GARBLED):
        library.scalar(data[0] & 0x3F if data else 0, data)


def _learnt(data: bytes) -> None:
    _names((0, 0x80 | 21, data, 0, 0))
    _names((0, 0x80 | 22, data, 0, 0))
    _enum(data)
    _structure(data)


def _corpus(folder: Path) -> None:
    values = [
        ua.Variant(1.5),
        ua.Variant(["a", "b"]),
        ua.Variant(ua.Argument()),
        ua.Variant(ua.LocalizedText("x", "en")),
    ]
    read = ua.ReadResponse(Results=[ua.DataValue(value) for value in values])
    items = [ua.MonitoredItemNotification(cast("Any", n), ua.DataValue(value)) for n, value in enumerate(values)]
    fields = [ua.Variant(ua.NodeId(cast("Any", 2915))), *(ua.Variant(Value=True) for _ in FIELDS[1:])]
    events = ua.EventNotificationList([ua.EventFieldList(cast("Any", 7), fields)])
    for name, data in (("change", ua.DataChangeNotification(MonitoredItems=items)), ("event", events)):
        message = ua.NotificationMessage(NotificationData=[cast("Any", data)])
        response = ua.PublishResponse(Parameters=ua.PublishResult(NotificationMessage=message))
        (folder / name).write_bytes(ua_binary.struct_to_binary(response))
    (folder / "read").write_bytes(ua_binary.struct_to_binary(read))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        _corpus(Path(corpus))
        atheris.Setup([sys.argv[0], corpus, "-timeout=2", "-rss_limit_mb=2048", *sys.argv[1:]], one)
        atheris.Fuzz()
