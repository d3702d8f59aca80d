"""The life of the hospital's processes: start, commands, coupling, and an end that leaves nobody behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asyncua.client.client import Client
from hardware_mocks.client import CommandRefused, HospitalNotReady, HospitalProcess
from hardware_mocks.nets import free_net, give_back
from hospital_clients import (
    bacnet_exchange,
    becomes,
    eventually,
    modbus_exchange,
    modbus_floats,
    modbus_read,
    read_property_request,
    real_of,
)
from pace import in_time


def group_is_empty(leader: int) -> bool:
    """Whether no process is left in the group that `leader` led; zombies of init do not count."""
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue  # it has just ended
        if fields and int(fields[2]) == leader and fields[0] != "Z":
            return False
    return True


def process_of(net: str, protocol: str) -> int:
    """The process of a hospital that serves `protocol`; `all` is its supervisor."""
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode().split("\0") if entry.name.isdigit() else []
        except OSError:
            continue  # it has just ended
        if line[1:6] == ["-m", "hardware_mocks", protocol, "--net", net]:
            return int(entry.name)
    raise LookupError(protocol)


async def test_all_three_protocols_are_up_within_seconds() -> None:
    """When the hospital is entered, each server answers; when it is left, no process is there."""
    began = time.monotonic()
    async with HospitalProcess() as hospital:
        assert in_time(time.monotonic() - began, 10)
        assert modbus_floats(hospital.address("lv-main"), 1, 3027, 1)[0] > 200
        request = read_property_request(0, 1)
        answer = bacnet_exchange((f"{hospital.net}.1", 47_901), hospital.address("ahu-1"), request)
        assert real_of(answer) > 5
        host, port = hospital.address("or-1")
        async with Client(f"opc.tcp://{host}:{port}/or") as client:
            assert await client.get_node("ns=2;s=or1.o2_p").read_value() > 400
        leader = hospital.pid
    assert group_is_empty(leader)


async def test_one_act_reaches_all_protocols_and_faults_one_device() -> None:
    """The mains fail: the meter, the chiller and the room know; a slow device answers after three seconds."""
    async with HospitalProcess() as hospital:
        await hospital.act("mains_fail")

        async def noticed() -> bool:
            return bool((await hospital.values("or-1"))["ups_alarm"])

        await becomes(noticed)
        assert (await hospital.values("lv-main"))["u_an"] == 0.0
        assert (await hospital.values("chiller-1"))["fault"] is True
        await slow_devices_answer_late(hospital)
        assert hospital.errors() == ""


async def slow_devices_answer_late(hospital: HospitalProcess) -> None:
    """One of each protocol, at the same time, because three seconds are long."""

    async def timed(work: asyncio.Future[object]) -> float:
        began = time.monotonic()
        await work
        return time.monotonic() - began

    host, port = hospital.address("or-1")
    client = Client(f"opc.tcp://{host}:{port}/or", timeout=6.0)
    await client.connect()
    for device in ("ups-1", "ahu-1", "or-1"):
        await hospital.fault(device, "slow")
    meter, room = hospital.address("ups-1"), client.get_node("ns=2;s=or1.o2_p")
    here, ahu = (f"{hospital.net}.1", 47_901), hospital.address("ahu-1")
    took = await asyncio.gather(
        timed(asyncio.ensure_future(asyncio.to_thread(modbus_exchange, meter, 1, b"\x03\0\x82\0\x01", 6.0))),
        timed(asyncio.ensure_future(asyncio.to_thread(bacnet_exchange, here, ahu, read_property_request(0, 1), 6.0))),
        timed(asyncio.ensure_future(room.read_value())),
    )
    await hospital.fault("or-1", "none")
    await client.disconnect()
    assert all(2.9 < seconds < 5.0 for seconds in took), took


async def test_a_story_is_told_from_now_on() -> None:
    """`play` starts the clock of the story, here with all its acts still ahead."""
    async with HospitalProcess(protocols=["modbus"]) as hospital:
        await hospital.play("demo")
        assert modbus_floats(hospital.address("lv-main"), 1, 3027, 1)[0] > 200

        async def dark() -> bool:
            return (await hospital.values("lv-main"))["u_an"] == 0.0

        await becomes(dark, within_s=6.0)


async def test_pins_hold_until_released() -> None:
    """A pinned value is served exactly; released, the physics is back."""
    async with HospitalProcess(protocols=["modbus"]) as hospital:
        lv = hospital.address("lv-main")
        await hospital.set("lv-main", "u_an", 123.0)
        assert modbus_floats(lv, 1, 3027, 1) == [123.0]
        await hospital.release("lv-main", "u_an")
        assert modbus_floats(lv, 1, 3027, 1)[0] > 200


async def test_pins_are_served_at_once_by_every_protocol() -> None:
    """When `set` returns, the next read gives the value."""
    async with HospitalProcess(protocols=["bacnet", "opcua"]) as hospital:
        await hospital.set("chiller-1", "t_chws", 33.0)
        answer = bacnet_exchange(
            (f"{hospital.net}.1", 47_901), hospital.address("chiller-1"), read_property_request(0, 1)
        )
        assert real_of(answer) == 33.0
        host, port = hospital.address("or-1")
        async with Client(f"opc.tcp://{host}:{port}/or") as client:
            await hospital.set("or-1", "dp", 1.5)
            assert await client.get_node("ns=2;s=or1.dp").read_value() == 1.5


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ({"do": "fault", "device": "lv-main", "fault": "tired"}, "no fault 'tired'; there are none, silent"),
        ({"do": "fault", "device": "lv-9", "fault": "silent"}, "no device 'lv-9' here; there are lv-main"),
        ({"do": "fault", "device": "or-1", "fault": "silent"}, "no device 'or-1' here"),
        ({"do": "set", "device": "ups-1", "point": "soc", "value": 1}, "no point 'soc'; it has online"),
        ({"do": "set", "device": "ups-1", "point": "bat_soc", "value": "full"}, "no such command for a device"),
        ({"do": "act", "action": "flood"}, "no act 'flood'; there are air_fresh"),
        ({"do": "play", "story": "opera"}, "no story 'opera'; there are quiet, demo"),
        ({"do": "dance"}, "no such command"),
        ({"do": "dance", "device": "ups-1"}, "no such command for a device"),
    ],
)
async def test_wrong_commands_are_refused_with_what_there_is(command: dict[str, object], says: str) -> None:
    """And the hospital goes on."""
    async with HospitalProcess(protocols=["modbus"]) as hospital:
        with pytest.raises(CommandRefused) as caught:
            await hospital.ask(command)
        assert says in str(caught.value)
        await hospital.ask({"do": "ping"})


async def test_a_taken_address_stops_the_start_with_its_name() -> None:
    """Modbus and BACnet alike, although the BACnet library itself would share the port without a word."""
    net = free_net()
    try:
        with socket.create_server((f"{net}.12", 1502)), pytest.raises(HospitalNotReady, match=rf"{net}\.12"):
            await HospitalProcess(net, protocols=["modbus"]).start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            taken.bind((f"{net}.22", 47_822))
            with pytest.raises(HospitalNotReady, match=rf"{net}\.22:47822/udp"):
                await HospitalProcess(net, protocols=["bacnet"]).start()
    finally:
        give_back(net)


async def test_two_hospitals_live_side_by_side() -> None:
    """Each on a network of its own; an act in one leaves the other alone."""
    async with HospitalProcess(protocols=["modbus"]) as one, HospitalProcess(protocols=["modbus"]) as other:
        await one.act("fire")
        eventually(lambda: modbus_read(one.address("fire-panel"), 1, 2, 0, 8) == b"\x03")
        assert modbus_read(other.address("fire-panel"), 1, 2, 0, 8) == b"\x00"


async def test_ground_truth_survives_the_end(tmp_path: Path) -> None:
    """What was served just before the stop is in the file."""
    log = tmp_path / "truth.jsonl"
    async with HospitalProcess(protocols=["modbus"], log=log) as hospital:
        raw = modbus_read(hospital.address("ups-1"), 1, 3, 128, 4).hex()
    assert f'"raw":"{raw}"' in log.read_text()


async def test_a_dead_server_ends_the_hospital() -> None:
    """A protocol that dies by itself takes the rest along, so that no test goes on against half a hospital."""
    hospital = HospitalProcess(protocols=["modbus", "bacnet"])
    await hospital.start()
    leader = hospital.pid
    os.kill(process_of(hospital.net, "modbus"), signal.SIGKILL)
    eventually(lambda: group_is_empty(leader))
    assert "modbus ended with -9" in hospital.errors()
    await hospital.stop()


async def test_a_killed_supervisor_takes_its_children_along() -> None:
    """Their standard input ends, and so do they."""
    hospital = HospitalProcess(protocols=["modbus", "bacnet"])
    await hospital.start()
    leader = hospital.pid
    os.kill(leader, signal.SIGKILL)
    eventually(lambda: group_is_empty(leader))
    await hospital.stop()


OWNER = """
import asyncio
from hardware_mocks.client import HospitalProcess
async def main():
    hospital = HospitalProcess(protocols=["modbus"])
    await hospital.start()
    print(hospital.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_killed_owner_leaves_no_process() -> None:
    """Even if whoever started the hospital is killed without a chance to stop it."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        leader = int(owner.stdout.readline())
        assert not group_is_empty(leader)
        owner.kill()
    eventually(lambda: group_is_empty(leader))


@pytest.mark.parametrize("stuck", ["modbus", "all"])
async def test_a_stuck_process_is_killed_at_the_end(stuck: str) -> None:
    """A stopped server or supervisor cannot tidy up; the end does not depend on it."""
    hospital = HospitalProcess(protocols=["modbus"])
    await hospital.start()
    leader = hospital.pid
    os.kill(process_of(hospital.net, stuck), signal.SIGSTOP)
    await hospital.stop()
    eventually(lambda: group_is_empty(leader))


async def test_stop_may_come_twice_and_before_start() -> None:
    """Whoever tidies up need not know how far things got."""
    hospital = HospitalProcess(protocols=["modbus"])
    await hospital.stop()
    await hospital.start()
    await hospital.stop()
    await hospital.stop()


def test_networks_do_not_meet() -> None:
    """Claims differ within a process and between processes."""
    mine = [free_net() for _ in range(3)]
    code = "from hardware_mocks.nets import _claim; import sys; print([_claim(n) for n in sys.argv[1:]])"
    said = subprocess.run([sys.executable, "-c", code, *mine], capture_output=True, text=True, check=True).stdout
    for net in mine:
        give_back(net)
    assert len(set(mine)) == 3
    assert said.strip() == "[False, False, False]"
