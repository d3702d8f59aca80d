"""The Modbus devices, asked by hand-made frames."""

from __future__ import annotations

import math
import socket
import struct
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hardware_mocks.client import HospitalProcess
from hospital_clients import eventually, modbus_exchange, modbus_floats, modbus_read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def hospital() -> AsyncIterator[HospitalProcess]:
    async with HospitalProcess(protocols=["modbus"]) as running:
        yield running
        assert running.errors() == ""


async def test_meter_serves_big_endian_floats(hospital: HospitalProcess) -> None:
    """Phase voltages stand at 3027 to 3031, the frequency at 3109, as numbers of a healthy network."""
    lv = hospital.address("lv-main")
    assert all(209 < volts < 231 for volts in modbus_floats(lv, 1, 3027, 3))
    assert modbus_floats(lv, 1, 3109, 1)[0] == pytest.approx(50.0, abs=0.2)


async def test_meter_serves_energy_as_int64_watt_hours(hospital: HospitalProcess) -> None:
    """The import register holds what the physics counted in kWh, a thousandfold."""
    await hospital.set("lv-main", "ep_imp", 1234.567)
    raw = modbus_read(hospital.address("lv-main"), 1, 3, 3203, 4)
    assert struct.unpack(">q", raw) == (1_234_567,)


async def test_gaps_of_the_meter_read_as_not_available(hospital: HospitalProcess) -> None:
    """A block across a gap is answered: NaN between the floats, 0x8000 between the words."""
    lv = hospital.address("lv-main")
    block = modbus_floats(lv, 1, 2999, 62)
    assert math.isnan(block[(3007 - 2999) // 2])
    assert not math.isnan(block[(3059 - 2999) // 2])
    assert modbus_read(lv, 1, 3, 110, 2) == b"\x80\x00\x80\x00"


async def test_what_cannot_be_measured_reads_as_not_available(hospital: HospitalProcess) -> None:
    """Without voltage there is no frequency; a failed sensor of the generator reads as -4."""
    await hospital.act("mains_fail")
    lv, gen = hospital.address("lv-main"), hospital.address("gen-1")
    eventually(lambda: modbus_floats(lv, 1, 3027, 1) == [0.0])
    assert math.isnan(modbus_floats(lv, 1, 3109, 1)[0])
    await hospital.set("gen-1", "fuel_pct", None)
    assert modbus_read(gen, 10, 3, 1027, 1) == b"\xff\xfc"


async def test_generator_serves_gencomm_scales(hospital: HospitalProcess) -> None:
    """Words and double words in GenComm's units; -1 where the controller has no such value."""
    for point, value in {"oil_p": 412.0, "t_cool": -7.0, "batt_v": 26.6, "u_an": 229.7, "p": -1.5}.items():
        await hospital.set("gen-1", point, value)
    gen = hospital.address("gen-1")
    assert struct.unpack(">HhH", modbus_read(gen, 10, 3, 1024, 3)) == (412, -7, 0xFFFF)
    assert struct.unpack(">H", modbus_read(gen, 10, 3, 1029, 1)) == (266,)
    assert struct.unpack(">I", modbus_read(gen, 10, 3, 1032, 2)) == (2297,)
    assert struct.unpack(">i", modbus_read(gen, 10, 3, 1536, 2)) == (-1500,)
    assert modbus_read(gen, 10, 3, 39_425, 1) == b"\x11\x11"


async def test_what_does_not_fit_saturates(hospital: HospitalProcess) -> None:
    """A pinned value beyond the register's range is served as its largest or smallest number."""
    gen = hospital.address("gen-1")
    await hospital.set("gen-1", "oil_p", 1e6)
    await hospital.set("gen-1", "t_cool", -1e6)
    assert struct.unpack(">Hh", modbus_read(gen, 10, 3, 1024, 2)) == (65_535, -32_768)


@pytest.mark.parametrize(
    ("point", "register", "word"),
    [
        ("estop", 39_425, 0x3111),
        ("oil_low", 39_425, 0x1311),
        ("cool_high", 39_425, 0x1131),
        ("start_fail", 39_428, 0x1311),
    ],
)
async def test_generator_shows_shutdowns_in_its_alarm_nibbles(
    hospital: HospitalProcess, point: str, register: int, word: int
) -> None:
    """A healthy alarm is 1, one that has shut the set down 3."""
    await hospital.set("gen-1", point, True)
    assert struct.unpack(">H", modbus_read(hospital.address("gen-1"), 10, 3, register, 1)) == (word,)


async def test_ups_serves_binary_scales_and_status_bits(hospital: HospitalProcess) -> None:
    """Charge is a 512th of a percent, the battery voltage a 32nd of a volt; bit 2 says on battery."""
    for point, value in {
        "bat_soc": 87.5,
        "bat_v": 25.25,
        "bat_runtime": 70_000,
        "battery": True,
        "online": False,
    }.items():
        await hospital.set("ups-1", point, value)
    ups = hospital.address("ups-1")
    assert struct.unpack(">IHh", modbus_read(ups, 1, 3, 128, 4)) == (70_000, 44_800, 808)
    assert struct.unpack(">I", modbus_read(ups, 1, 3, 0, 2)) == (1 << 2,)


async def test_fire_shows_in_the_bits_of_its_zone(hospital: HospitalProcess) -> None:
    """General fire is input 0, zone 3 input 18; the count of zones an input register."""
    panel = hospital.address("fire-panel")
    assert modbus_read(panel, 1, 2, 0, 24) == b"\0\0\0"
    await hospital.act("fire")
    eventually(lambda: modbus_read(panel, 1, 2, 0, 24) == b"\x03\x00\x04")
    assert modbus_read(panel, 1, 4, 0, 1) == b"\x00\x01"


@pytest.mark.parametrize(
    ("pdu", "exception"),
    [
        (struct.pack(">BHH", 3, 9000, 2), 2),
        (struct.pack(">BHH", 3, 3399, 2), 2),
        (struct.pack(">BHH", 3, 2999, 126), 3),
        (struct.pack(">BHH", 3, 2999, 0), 3),
        (struct.pack(">BH", 3, 2999), 3),
        (struct.pack(">BHH", 4, 2999, 2), 1),
        (struct.pack(">BHH", 6, 4104, 1), 1),
    ],
)
async def test_what_the_meter_refuses(hospital: HospitalProcess, pdu: bytes, exception: int) -> None:
    """Foreign addresses, too many registers, malformed requests, foreign functions and any write."""
    frame = modbus_exchange(hospital.address("lv-main"), 1, pdu)
    assert frame[7:] == bytes((pdu[0] | 0x80, exception))
    assert (await hospital.truth())[-1]["exception"] == exception


async def test_a_foreign_unit_gets_no_target(hospital: HospitalProcess) -> None:
    """Exception 0x0B, as a gateway answers for a device that it does not have."""
    assert modbus_read(hospital.address("gen-1"), 1, 3, 1024, 1) == b"\x83\x0b"


async def test_ground_truth_is_what_the_client_read(hospital: HospitalProcess) -> None:
    """One line per reply, in order, with the very bytes."""
    lv = hospital.address("lv-main")
    read = [modbus_read(lv, 1, 3, 2999, 112).hex() for _ in range(5)]
    truth = await hospital.truth()
    assert [line["raw"] for line in truth] == read
    assert {(line["device"], line["fc"], line["start"], line["count"]) for line in truth} == {("lv-main", 3, 2999, 112)}


async def test_exception_fault(hospital: HospitalProcess) -> None:
    """The device answers that it has failed, until the fault ends."""
    await hospital.fault("ups-1", "exception")
    ups = hospital.address("ups-1")
    assert modbus_read(ups, 1, 3, 130, 1) == b"\x83\x04"
    await hospital.fault("ups-1", "none")
    assert len(modbus_read(ups, 1, 3, 130, 1)) == 2


async def test_silent_fault_leaves_the_neighbours_alone(hospital: HospitalProcess) -> None:
    """The connection is accepted, the answer never comes; another device answers meanwhile."""
    await hospital.fault("ups-1", "silent")
    with pytest.raises(TimeoutError):
        modbus_exchange(hospital.address("ups-1"), 1, struct.pack(">BHH", 3, 130, 1), within_s=0.2)
    assert modbus_floats(hospital.address("lv-main"), 1, 3027, 1)[0] > 200


async def test_refuse_fault_closes_port_and_connections(hospital: HospitalProcess) -> None:
    """Nobody listens until the fault is over, which it is after its seconds."""
    ups = hospital.address("ups-1")
    await hospital.fault("ups-1", "refuse", seconds=0.3)
    with pytest.raises(ConnectionRefusedError):
        modbus_read(ups, 1, 3, 130, 1)

    def back() -> bool:
        try:
            return len(modbus_read(ups, 1, 3, 130, 1)) == 2
        except ConnectionRefusedError:
            return False

    eventually(back)


async def test_wrong_length_fault_gives_sound_frames_with_a_wrong_count(hospital: HospitalProcess) -> None:
    """One register too many or too few, both occur, never the number that was asked for."""
    await hospital.fault("lv-main", "wrong_length")
    lv = hospital.address("lv-main")
    assert {len(modbus_read(lv, 1, 3, 2999, 4)) for _ in range(20)} == {6, 10}


async def test_garbage_fault_never_looks_like_an_answer(hospital: HospitalProcess) -> None:
    """Noise from the first byte, or a sound header before a function that nobody asked for."""
    await hospital.fault("lv-main", "garbage")
    lv = hospital.address("lv-main")
    pdu = struct.pack(">BHH", 3, 2999, 4)
    for _ in range(20):
        frame = modbus_exchange(lv, 1, pdu)
        sound_header = frame[:4] == b"\x12\x34\x00\x00"
        assert not sound_header or frame[7] & 0x7F != 3


async def test_frozen_fault_lets_values_stand_still(hospital: HospitalProcess) -> None:
    """The same bytes again, even while the mains fail."""
    await hospital.fault("lv-main", "frozen")
    lv = hospital.address("lv-main")
    first = modbus_read(lv, 1, 3, 2999, 112)
    await hospital.act("mains_fail")
    eventually(lambda: modbus_read(hospital.address("ups-1"), 1, 3, 151, 1) == b"\0\0")
    assert modbus_read(lv, 1, 3, 2999, 112) == first
    await hospital.fault("lv-main", "none")
    assert modbus_floats(lv, 1, 3027, 1) == [0.0]


async def test_a_frame_that_is_not_modbus_closes_the_connection(hospital: HospitalProcess) -> None:
    """Another protocol id or an impossible length, as a web browser would send."""
    with socket.create_connection(hospital.address("lv-main"), timeout=1.0) as line:
        line.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert line.recv(100) == b""
