"""What registers mean beyond plain numbers: decimals, times, factors from the device, counters that begin again."""

from __future__ import annotations

import asyncio
import os
import struct
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modbus_peer import device, line, peer, point, poll

from agent.asked import asked
from agent.clock import ManualClock
from config.model import Home
from drivers.contract import Grade, Poll, Quality
from drivers.modbus.counters import CounterFile
from drivers.modbus.decode import BlockDecoder
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.factors import Turns
from drivers.modbus.plan import plan
from drivers.modbus.settings import ModbusAddress

if TYPE_CHECKING:
    from pathlib import Path

    from modbus_peer import Request

    from config.model import Device, Point
    from drivers.contract import Value


def decoded(raw: str, **written: Any) -> tuple[Value, Quality | None]:
    """The value of one point whose registers hold these hexadecimal digits, and its flaw."""
    points = (point("p", 0, **written),)
    (block,) = plan(points, ModbusAddress())
    (value,), flaws = BlockDecoder(block, points).decode(bytes.fromhex(raw))
    return value, flaws.get(0)


@pytest.mark.parametrize(
    ("raw", "written", "value"),
    [
        ("1234", {"type": "bcd16"}, 1234),
        ("0000", {"type": "bcd16"}, 0),
        ("00012345", {"type": "bcd32", "scale": 0.01}, 123.45),
        ("23450001", {"type": "bcd32", "order": "CDAB"}, 12345),
        ("3412", {"type": "bcd16", "order": "BADC"}, 1234),
        ("0000001234567890", {"type": "bcd64", "value": "integer"}, 1234567890),
        ("0002", {"type": "bcd16", "value": "enum", "states": {2: "auto"}}, "auto"),
        ("0001", {"type": "bcd16", "value": "bool"}, True),
    ],
)
def test_4_bcd_in_every_width_and_order(raw: str, written: dict[str, Any], value: Value) -> None:
    """BCD in every width and order, scaled like any number."""
    assert decoded(raw, **written) == (value, None)


def test_a_digit_above_nine_is_no_value() -> None:
    """With the digits as they came; and a plausible range holds for decimals too."""
    assert decoded("12a4", type="bcd16") == (None, Quality(Grade.BAD, "decode_error", "4772"))
    assert decoded("1234", type="bcd16", high=1000) == (1234, Quality(Grade.UNCERTAIN, "range_suspect", "4660"))
    assert decoded("9999", type="bcd16", sentinels={0x9999: "sensor_fault"})[1] == Quality(
        Grade.BAD, "sensor_fault", "39321"
    )


@pytest.mark.parametrize(
    ("raw", "written", "text"),
    [
        ("6920ba60", {"type": "time_unix"}, "2025-11-21T19:15:44Z"),
        ("ba606920", {"type": "time_unix", "order": "CDAB"}, "2025-11-21T19:15:44Z"),
        ("07ea000b0015000a001e003b", {"type": "time_6"}, "2026-11-21T10:30:59"),
        ("001a000b0015000a001e003b", {"type": "time_6"}, "2026-11-21T10:30:59"),
        ("1a0b150a1e3b", {"type": "time_3"}, "2026-11-21T10:30:59"),
        ("0b1a0a153b1e", {"type": "time_3", "order": "BADC"}, "2026-11-21T10:30:59"),
        ("001a0bd50a1ee678", {"type": "time_cp56"}, "2026-11-21T10:30:59"),
    ],
)
def test_4_date_times_of_every_form(raw: str, written: dict[str, Any], text: str) -> None:
    """ISO 8601; only seconds since 1970 have a zone. The weekday in a CP56 time (here 6) is left out."""
    assert decoded(raw, **written) == (text, None)


@pytest.mark.parametrize(
    ("raw", "coding"),
    [
        ("00000000", "time_unix"),
        ("ffffffff", "time_unix"),
        ("07ea000d0015000a001e003b", "time_6"),
        ("000000000000", "time_3"),
        ("ffffffffffffffff", "time_cp56"),
    ],
)
def test_a_clock_that_was_never_set_is_no_time(raw: str, coding: str) -> None:
    """Never 1970, never the 13th month."""
    value, flaw = decoded(raw, type=coding)
    assert value is None
    assert flaw is not None
    assert flaw.reason == "decode_error"


@given(st.integers(1, 0xFFFFFFFE))
def test_seconds_since_1970_are_the_library_s(seconds: int) -> None:
    """Any of them."""
    value, _ = decoded(f"{seconds:08x}", type="time_unix")
    assert isinstance(value, str)
    assert datetime.fromisoformat(value).astimezone(UTC).timestamp() == seconds


@pytest.mark.parametrize(("scale", "value"), [("2^-5", 10.5), ("1/60", 5.6), ("10^2", 33600.0)])
def test_4_scale_decimal_and_powers_of_two(scale: str, value: float) -> None:
    """Powers of two and fractions."""
    assert decoded("0150", scale=scale)[0] == pytest.approx(value)


@pytest.mark.parametrize("scale", ["2^", "1/0", "half", "-1/2"])
def test_what_is_no_scale_is_refused(scale: str) -> None:
    """With what may be written."""
    with pytest.raises(ValueError, match=r"no factor; write a number, 2\^-5 or 1/60"):
        point("p", 0, scale=scale)


class Registers:
    """A device whose holding registers a test sets."""

    def __init__(self, **words: int) -> None:
        self.words = {int(name[1:]): word & 0xFFFF for name, word in words.items()}

    def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        asked = range(request.start, request.start + request.count)
        writer.write(request.data(b"".join(struct.pack(">H", self.words.get(at, 0)) for at in asked)))


async def read(served: Registers, of: Device, times: int = 1, state: Path | None = None) -> list[tuple[Any, Any]]:
    """Values and flaws of so many reads."""
    wanted = poll(of)
    found = []
    async with peer(served) as there:
        config = line(there.port, of, timeout_s=2.0)
        driver = ModbusDriver(replace(config, home=Home(state=state)) if state else config, ManualClock())
        await driver.connect()
        for _ in range(times):
            reading = await driver.read(wanted)
            found.append((list(reading.values), dict(reading.flaws)))
        await driver.close()
    return found


@pytest.mark.parametrize(
    ("kind", "factor", "value"),
    [
        ("power_of_ten", -1, 230.1),
        ("power_of_ten", -2, 23.01),
        ("power_of_ten", 0, 2301.0),
        ("power_of_ten", 3, 2_301_000.0),
        ("times", 40, 92_040.0),
        ("divided", 10, 230.1),
    ],
)
async def test_4_scale_factor_from_another_register(kind: str, factor: int, value: float) -> None:
    """Far away in the map, asked for with the same poll, exact in decimals."""
    of = device(point("u", 10, factor={"register": 900, "kind": kind}), point("plain", 11))
    assert await read(Registers(r10=2301, r11=7, r900=factor), of) == [([value, 7], {})]


@pytest.mark.parametrize(("kind", "factor"), [("power_of_ten", 0x8000), ("power_of_ten", 50), ("divided", 0)])
async def test_a_factor_that_is_none_makes_no_value(kind: str, factor: int) -> None:
    """Never the raw number."""
    of = device(point("u", 10, factor={"register": 12, "kind": kind}))
    ((values, flaws),) = await read(Registers(r10=2301, r12=factor), of)
    assert values == [None]
    assert (flaws[0].grade, flaws[0].reason) == (Grade.BAD, "not_available")


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
async def test_4_a_sample_read_shows_a_number_in_every_order_of_its_bytes(order: str) -> None:
    """One request; 7.25 as a maker may have written it comes out beside the order that it has, also with a factor."""
    stored = {"ABCD": (0x40E8, 0), "CDAB": (0, 0x40E8), "BADC": (0xE840, 0), "DCBA": (0, 0xE840)}[order]
    served = Registers(r0=stored[0], r1=stored[1], r2=10)
    of = device(
        point("p", 0, type="f32"), point("r", 2), point("k", 0, type="f32", factor={"register": 2, "kind": "times"})
    )
    points = asked(of.points, {"p", "k"}, orders=True)
    async with peer(served) as there:
        driver = ModbusDriver(line(there.port, of, timeout_s=2.0), ManualClock())
        await driver.connect()
        reading = await driver.read(Poll(of, points, 0.0))
        await driver.close()
    assert len(points) == 8
    assert [one.id for one, value in zip(points, reading.values, strict=True) if value in {7.25, 72.5}] == [
        "p" if order == "ABCD" else f"p order: {order}",
        "k" if order == "ABCD" else f"k order: {order}",
    ]


def test_what_has_no_order_of_registers_is_read_as_it_is() -> None:
    """Of one register, a text or a bit there is nothing to choose."""
    points = (point("n", 0), point("s", 1, type="string", length=2), point("b", 3, type="bit", bit=0))
    assert asked(points, (), orders=True) == points


async def test_a_value_is_judged_after_its_factor_and_follows_it_when_it_changes() -> None:
    """The same raw value, another exponent: another value, and the range is that of the unit."""
    of = device(point("u", 10, low=0, high=500, factor={"register": 900}))
    served = Registers(r10=2301, r900=-1)
    wanted = poll(of)
    async with peer(served) as there:
        driver = ModbusDriver(line(there.port, of, timeout_s=2.0), ManualClock())
        await driver.connect()
        first = await driver.read(wanted)
        served.words[900] = 0
        second = await driver.read(wanted)
        third = await driver.read(wanted)
        await driver.close()
    assert (list(first.values), dict(first.flaws)) == ([230.1], {})
    assert (list(second.values), second.flaws[0].reason, list(second.changed)) == ([2301], "range_suspect", [(0, 1)])
    assert (third.values, list(third.changed)) == (second.values, [])


def counter(**written: Any) -> Point:
    return point("ep", 0, rollover=10_000, **written)


async def series(of: Device, state: Path, *raws: int, written_within_s: float = 30.0) -> list[tuple[Any, str | None]]:
    """The value and the reason of its flaw for each raw reading, by one driver."""
    served = Registers()
    wanted = poll(of)
    found: list[tuple[Any, str | None]] = []
    async with peer(served) as there:
        driver = ModbusDriver(replace(line(there.port, of, timeout_s=2.0), home=Home(state=state)), ManualClock())
        await driver.connect()
        for raw in raws:
            served.words[0] = raw
            reading = await driver.read(wanted)
            found.append((reading.values[0], reading.flaws[0].reason if 0 in reading.flaws else None))
        await driver.close()
        if driver._turns._file._writer is not None:  # a busy machine may need longer than closing waits
            await asyncio.wait((driver._turns._file._writer,), timeout=written_within_s)
    return found


async def test_4_counter_rollover_also_over_a_restart(tmp_path: Path) -> None:
    """Twice round; the turns are kept by the gateway."""
    of = device(counter())
    assert await series(of, tmp_path, 9_990, 9_998, 3, 5_000, 9_999, 1) == [
        (9_990, None), (9_998, None), (10_003, None), (15_000, None), (19_999, None), (20_001, None),
    ]  # fmt: skip
    assert await series(of, tmp_path, 2, 9_000) == [(20_002, None), (29_000, None)]
    assert await series(of, tmp_path, 40) == [(30_040, None)]


async def test_4_meter_replacement_by_an_offset_keeps_the_point(tmp_path: Path) -> None:
    """A meter was replaced: the same point goes on from the last reading of the old one."""
    old = device(counter())
    assert await series(old, tmp_path, 6_000, 0, 7) == [
        (6_000, None), (0, "range_suspect"), (7, "range_suspect"),
    ]  # fmt: skip
    new = device(counter(offset=6_000))
    assert await series(new, tmp_path, 7, 9) == [(6_007, None), (6_009, None)]


async def test_a_damaged_or_missing_counter_file_is_no_error(tmp_path: Path) -> None:
    """Nothing is known then; and a folder that cannot be written changes nothing of what is read."""
    (tmp_path / "modbus").mkdir()
    (tmp_path / "modbus" / "l.json").write_text('{"d/ep": [1]}', encoding="utf-8")
    assert await series(device(counter()), tmp_path, 5) == [(5, None)]
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    assert await series(device(counter()), blocked, 9_999, 1) == [(9_999, None), (10_001, None)]


async def test_4_a_counter_goes_on_while_the_disk_does_not_answer(tmp_path: Path) -> None:
    """A pipe that nobody reads stands in the place of the file: whoever opens it waits for ever."""
    (tmp_path / "modbus").mkdir()
    pipe = tmp_path / "modbus" / "l.new"
    os.mkfifo(pipe)
    try:
        found = await series(device(counter()), tmp_path, 9_990, 3, 5_000, written_within_s=0.0)
        assert found == [(9_990, None), (10_003, None), (15_000, None)]
    finally:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        pipe.unlink()
        os.close(reader)


async def test_turns_are_written_rarely(tmp_path: Path) -> None:
    """Every sixteenth of the range, and at once when it begins again."""
    path = tmp_path / "l.json"
    turns = CounterFile(path, {"d/ep": 1600.0})
    written = []
    for last in range(1500):
        turns["d/ep"] = Turns(0, float(last))
        await turns.settle()
        written.append(path.read_text(encoding="utf-8"))
    assert len(set(written)) == 15
    turns["d/ep"] = Turns(1, 2.0)
    await turns.settle()
    after = CounterFile(path, {"d/ep": 1600.0})
    await after.recall()
    assert after["d/ep"] == Turns(1, 2.0)
