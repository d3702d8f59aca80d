"""Every row of every shipped Modbus profile against raw registers that were written down without it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from modbus_peer import line, peer, poll

from agent.clock import ManualClock
from config.folder import SHIPPED_PROFILES
from config.load import load
from drivers.modbus.decode import BlockDecoder
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.plan import plan
from drivers.modbus.settings import WORDS, ModbusAddress, ModbusPoint
from drivers.registry import protocols

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator

    from modbus_peer import Request

    from config.model import Device, Point
    from drivers.contract import Value

CASES = Path(__file__).parents[1] / "cases" / "modbus-profiles"
GATEWAY = "site: h01\ngateway: gw-a1\nuplinks: {main: {brokers: ['mqtt://127.0.0.1:1883']}}\n"
IDENTIFY = 43
TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
PROFILES = sorted(
    path.stem
    for path in SHIPPED_PROFILES.glob("*.yaml")
    if "protocol: modbus" in path.read_text(encoding="utf-8") and not path.stem.startswith("template-")
)
TEMPLATES = sorted(path.stem for path in SHIPPED_PROFILES.glob("template-*.yaml"))

Image = dict[tuple[str, int], int]
"""A word, or a bit, by table and address."""


class Row(NamedTuple):
    """What stands at an address, and which point that is."""

    table: str
    at: int
    words: tuple[int, ...]
    point: str
    wanted: Any

    def put(self, image: Image) -> Image:
        return image | {(self.table, self.at + place): word for place, word in enumerate(self.words)}


def words(digits: str) -> tuple[int, ...]:
    return tuple(int(digits[at : at + 4], 16) for at in range(0, len(digits), 4))


def case(name: str) -> dict[str, Any]:
    found = yaml.safe_load((CASES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def rows(name: str, part: str) -> list[Row]:
    return [
        Row(table, at, words(digits), point, wanted) for table, at, digits, point, wanted in case(name).get(part, ())
    ]


def bits(name: str) -> list[Row]:
    """Each with only its own bit set."""
    found = []
    for where, point in case(name).get("bits", {}).items():
        table, _, place = str(where).partition(" ")
        at, _, bit = place.partition(".")
        found.append(Row(table, int(at), (1 << int(bit or 0),), point, True))
    return found


def shipped(name: str, folder: Path, address: str = "{}") -> Device:
    """A device that has the profile as it is."""
    (folder / "devices").mkdir()
    (folder / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (folder / "lines.yaml").write_text("lines: {l: {protocol: modbus, host: 127.0.0.1}}\n", encoding="utf-8")
    device = f"devices: {{d: {{line: l, profile: {name}, system: x, address: {address}}}}}\n"
    (folder / "devices" / "d.yaml").write_text(device, encoding="utf-8")
    ((device_found,),) = (one.devices for one in load(folder, protocols()).lines)
    return device_found


def decoded(point: Point, image: Image) -> tuple[Value, str | None]:
    """One point alone, from registers that are zero where nothing else is said; None where it has no value."""
    (block,) = plan((point,), ModbusAddress())
    (value,), flaws = BlockDecoder(block, (point,)).decode(payload(image, block.function, block.start, block.count))
    return value, flaws[0].reason if 0 in flaws else None


def payload(image: Image, function: int, start: int, count: int) -> bytes:
    found = [image.get((TABLES[function], at), 0) for at in range(start, start + count)]
    if function > 2:
        return b"".join(word.to_bytes(2, "big") for word in found)
    return sum(bool(bit) << at for at, bit in enumerate(found)).to_bytes((count + 7) // 8, "little")


def is_right(read: Value, wanted: Any) -> bool:
    if isinstance(read, float):
        return read == pytest.approx(wanted, rel=1e-9)
    return type(read) is type(wanted) and read == wanted if isinstance(wanted, bool) else read == wanted


def whole(name: str) -> Image:
    """A device in service: for each point its first row."""
    image: Image = {}
    for row in reversed(rows(name, "values")):
        image = row.put(image)
    for table, at, right, _ in case(name).get("identity", ()):
        image = Row(table, at, words(right), "", None).put(image)
    return image


@asynccontextmanager
async def serving(image: Image, device: Device, identification: str = "") -> AsyncIterator[ModbusDriver]:
    """The registers on a socket, and a driver for the device; function 43 as raw hex, unknown to it where empty."""

    def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.function == IDENTIFY:
            known = request.frame(bytes((IDENTIFY,)) + bytes.fromhex(identification))
            writer.write(known if identification else request.exception(1))
        else:
            writer.write(request.data(payload(image, request.function, request.start, request.count)))

    async with peer(answer) as served:
        driver = ModbusDriver(line(served.port, device, timeout_s=5.0), ManualClock())
        await driver.connect()
        try:
            yield driver
        finally:
            await driver.close()


def test_every_profile_has_a_case_and_every_case_a_profile() -> None:
    """Nothing is shipped that nobody has checked."""
    assert {path.stem for path in CASES.glob("*.yaml")} == set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_10_every_row_of_a_profile_says_what_the_maker_says(name: str, tmp_path: Path) -> None:
    """Each point has its address, coding, scale and states: raw registers to value, and to no value with its reason."""
    points = {point.id: point for point in shipped(name, tmp_path).points}
    given = [*rows(name, "values"), *bits(name)]
    assert {row.point for row in given} == set(points)
    wrong = [row for row in given if not is_right(decoded(points[row.point], row.put({}))[0], row.wanted)]
    assert wrong == []
    absent = rows(name, "absent")
    assert [row for row in absent if decoded(points[row.point], row.put({})) != (None, row.wanted)] == []
    # A sentinel that the profile has and the case does not is one that nobody has looked up.
    for point in points.values():
        spec = point.spec
        assert isinstance(spec, ModbusPoint)
        assert len(spec.sentinels) <= 2 * sum(row.point == point.id for row in absent)


@pytest.mark.parametrize("name", PROFILES)
def test_10_one_wrong_row_fails(name: str, tmp_path: Path) -> None:
    """Any point one register off, of another coding, scale, table, order or bit: its case would notice."""
    points = {point.id: point for point in shipped(name, tmp_path).points}
    given = [*rows(name, "values"), *bits(name)]
    for point in points.values():
        own = [row for row in given if row.point == point.id]
        for kind, wrong in mutants(point):
            found = [decoded(wrong, row.put({}))[0] for row in own]
            assert not all(is_right(value, row.wanted) for value, row in zip(found, own, strict=True)), (point.id, kind)


def mutants(point: Point) -> Iterator[tuple[str, Point]]:
    """The point with one mistake in its row."""
    spec = point.spec
    assert isinstance(spec, ModbusPoint)
    for step in (-1, 1):
        if spec.start + step >= 0:
            yield f"register {step:+}", replace(point, spec=spec.model_copy(update={"start": spec.start + step}))
        if spec.bit is not None and 0 <= spec.bit + step < 16:
            yield f"bit {step:+}", replace(point, spec=spec.model_copy(update={"bit": spec.bit + step}))
    for table in {"holding", "input"} - {spec.table} if spec.type != "bit" or spec.bit is not None else ():
        yield f"table {table}", replace(point, spec=spec.model_copy(update={"table": table}))
    if point.type in ("number", "integer"):
        yield "scale", replace(point, scale=point.scale * 10)
        width = WORDS[spec.type]
        for coding in ("i16", "u16", "i32", "u32", "f32", "i64", "u64"):
            if coding != spec.type and WORDS[coding] == width:
                yield f"type {coding}", replace(point, spec=spec.model_copy(update={"type": coding}))
        if width > 1:
            other = "CDAB" if spec.order == "ABCD" else "ABCD"
            yield f"order {other}", replace(point, spec=spec.model_copy(update={"order": other}))


@pytest.mark.parametrize("name", PROFILES)
async def test_10_a_device_with_the_profile_is_read_over_the_wire(name: str, tmp_path: Path) -> None:
    """All points in one poll, planned into blocks as on site, from a device that is who it should be."""
    device = shipped(name, tmp_path)
    image = whole(name)
    known, _ = case(name).get("identification", ("", ""))
    async with serving(image, device, known) as driver:
        reading = await driver.read(poll(device))
    first: dict[str, Row] = {}
    for row in rows(name, "values"):
        first.setdefault(row.point, row)
    for index, point in enumerate(device.points):
        assert index not in reading.flaws or reading.flaws[index].reason in ("range_suspect", "decode_error")
        if point.id in first and is_alone(first[point.id], image):
            assert is_right(reading.values[index], first[point.id].wanted), point.id


def is_alone(row: Row, image: Image) -> bool:
    """Whether the registers of the row hold only what it says; nibbles share theirs."""
    return all(image[row.table, row.at + place] == word for place, word in enumerate(row.words))


@pytest.mark.parametrize("name", PROFILES)
async def test_4_another_device_at_the_address_gives_no_data(name: str, tmp_path: Path) -> None:
    """Each register that the profile expects something of tells it alone, and so does what function 43 says."""
    device = shipped(name, tmp_path)
    right = whole(name)
    others = [(Row(table, at, words(wrong), "", None).put(right), "") for table, at, _, wrong in case(name)["identity"]]
    assert isinstance(device.address, ModbusAddress)
    assert len(others) == len(device.address.expect)
    _, of_another = case(name).get("identification", ("", ""))
    assert bool(of_another) == (device.address.identification is not None)
    for image, identification in [*others, (right, of_another)] if of_another else others:
        async with serving(image, device, identification) as driver:
            reading = await driver.read(poll(device))
        assert {flaw.reason for flaw in reading.flaws.values()} == {"config_error"}
        assert set(reading.values) == {None}


def test_10_templates_leave_only_the_addresses_open(tmp_path: Path) -> None:
    """Each is read as soon as the site's registers are entered, and refused with the missing key before."""
    assert len(TEMPLATES) == 5
    for name in TEMPLATES:
        profile = yaml.safe_load((SHIPPED_PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))
        entered = "".join(
            f"      {point}: {{register: {100 + 4 * at}}}\n" for at, point in enumerate(profile["points"])
        )
        folder = tmp_path / name
        (folder / "devices").mkdir(parents=True)
        (folder / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
        (folder / "lines.yaml").write_text("lines: {l: {protocol: modbus, host: 127.0.0.1}}\n", encoding="utf-8")
        text = f"devices:\n  d:\n    line: l\n    profile: {name}\n    points:\n{entered}"
        (folder / "devices" / "d.yaml").write_text(text, encoding="utf-8")
        ((device,),) = (one.devices for one in load(folder, protocols()).lines)
        assert [point.id for point in device.points] == list(profile["points"])
