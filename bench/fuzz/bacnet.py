"""Coverage-guided fuzzing of what a BACnet device's answers are decoded with. `make fuzz` runs it for half a minute.

A finding is an exception other than the one that says that the bytes are not BACnet, a value of an object that
they do not name, more than two seconds for one answer, or more than two gigabytes of memory.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["drivers.bacnet"]):
    from config.model import Device, Place, Point, Text
    from drivers.bacnet import codec, events, reports
    from drivers.bacnet.encoding import Malformed
    from drivers.bacnet.plan import Plan
    from drivers.bacnet.settings import BacnetAddress, BacnetPoint
    from drivers.contract import Poll

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = Text("", "")
ROWS: tuple[dict[str, object], ...] = (
    {"object": "analog-input,1"},
    {"object": "analog-input,2", "value": "integer"},
    {"object": "binary-input,1"},
    {"object": "multi-state-value,1", "states": {1: "on"}},
    {"object": "analog-input,1", "property": "description", "value": "string"},
    {"object": "lift,1", "property": "landing-door-status", "index": 2},
    {"object": "accumulator,1", "property": "scale"},
    {"object": "analog-input,1", "property": "event-time-stamps", "value": "string"},
)


ALARM_ROWS: tuple[dict[str, object], ...] = (
    {"object": "analog-input,1", "event": "active"},
    {"object": "analog-input,1", "event": "state"},
    {"object": "device", "event": "acked"},
)


def _poll(rows: Sequence[dict[str, object]]) -> Poll:
    specs = [BacnetPoint.model_validate(row) for row in rows]
    points = tuple(
        Point(str(at), "d", "s", NAME, spec.value, "1", 1.0, spec, states=spec.states) for at, spec in enumerate(specs)
    )
    return Poll(Device("d", NAME, "s", "line", BacnetAddress(instance=1), Place(), points, ()), points, 1.0)


POLL = _poll(ROWS)
ALARM_POLL = _poll(ALARM_ROWS)


def one(data: bytes) -> None:
    """Decode one input in every way in which an answer may be decoded."""
    for decoding in (_batch, _single, _notification, _alarms, codec.access_error, codec.i_am):
        try:
            decoding(data)
        except Malformed:
            continue


def _batch(data: bytes) -> None:
    plan = Plan(POLL, len(ROWS))
    (batch,) = plan.batches
    judged = batch.read((data,)) or batch.read((data,))
    assert judged is not None, "the reliability is asked for once"
    assert len(judged) == len(ROWS)
    ((value, _), *_), target = judged, batch.requests[0][1][1:5]
    assert value is None or target in data, "a value of an object that nobody spoke of"


def _single(data: bytes) -> None:
    codec.single_result(data)


def _notification(data: bytes) -> None:
    notification = reports.cov_notification(data)
    plan = Plan(POLL, len(ROWS))
    plan.begin()
    plan.end()
    told = plan.notice(0, notification.values)
    assert told is None or len(told[0]) == len(ROWS)


def _alarms(data: bytes) -> None:
    (batch,) = Plan(ALARM_POLL, 1).batches
    with suppress(Malformed):
        batch.event(events.event_notification(data))
    judged = batch.read((data,))
    assert judged is None or len(judged) == len(ALARM_ROWS)


def _corpus(folder: Path) -> None:
    target = b"\x0c\x00\x00\x00\x01"
    flags = bytes.fromhex("29 6f 4e 82 04 00 4f")
    values = {
        "real": "44 41 ac 00 00",
        "double": "55 08 40 35 80 00 00 00 00 00",
        "text": "75 07 00 e7 94 b5 e6 b2 b9",
        "date": "a4 7e 0b 15 06",
        "list": "91 01 91 03",
        "structure": "0e 44 41 ac 00 00 0f",
    }
    for name, value in values.items():
        body = b"\x29\x55\x4e" + bytes.fromhex(value) + b"\x4f"
        (folder / name).write_bytes(target + b"\x1e" + body + flags + b"\x1f")
        (folder / f"single-{name}").write_bytes(target + b"\x19\x55\x3e" + bytes.fromhex(value) + b"\x3f")
    (folder / "scale").write_bytes(bytes.fromhex("0c 05 c0 00 01 1e 29 bb 4e 19 02 4f 1f"))
    (folder / "times").write_bytes(target + bytes.fromhex("1e 29 82 4e 19 05 0c 17 3b 3a 63 19 06 4f 1f"))
    (folder / "long lengths").write_bytes(bytes.fromhex("0d 04 00 00 00 01 1e 2d 01 55 4e 45 04 41 ac 00 00 4f 1f"))
    (folder / "error").write_bytes(target + b"\x1e\x29\x55\x5e\x91\x02\x91\x20\x5f\x1f")
    (folder / "fault").write_bytes(target + bytes.fromhex("1e 29 55 4e 44 41 ac 00 00 4f 29 6f 4e 82 04 40 4f 1f"))
    (folder / "cov").write_bytes(
        bytes.fromhex("09 07 1c 02 00 03 e9 2c 00 00 00 01 39 3c 4e 09 55 2e 44 41 ac 00 00 2f 09 6f 2e 82 04 00 2f 4f")
    )
    page = "0e 0c 00 00 00 01 19 03 2a 05 60 3e 19 01 19 02 19 03 3f 49 00 5a 05 e0 6e 21 64 21 64 21 64 6f 0f 19 00"
    (folder / "events").write_bytes(bytes.fromhex(page))
    event = "09 01 1c 02 00 00 01 2c 00 00 00 01 3e 19 01 3f 49 03 59 64 69 05 89 00 99 01 a9 00 b9 03"
    (folder / "event").write_bytes(bytes.fromhex(event))
    (folder / "i-am").write_bytes(bytes.fromhex("c4 02 00 03 e9 22 05 c4 91 03 21 0f"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        _corpus(Path(corpus))
        atheris.Setup([sys.argv[0], corpus, "-timeout=2", "-rss_limit_mb=2048", *sys.argv[1:]], one)
        atheris.Fuzz()
