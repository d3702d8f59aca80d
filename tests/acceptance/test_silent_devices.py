"""Devices fall silent: their neighbours do not notice, their values are never shown as good, and they come back."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import dropwhile, groupby, pairwise
from typing import TYPE_CHECKING, Any

from accounting import account, arrivals, samples, schema_faults
from hardware_mocks.client import HospitalProcess
from modbus_peer import peer
from mqtt_peer import until
from pace import in_time
from plant import FAST, HOST, Gateway, broker, configure_hospital, folder, show, write
from receiver import Receiver

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from pathlib import Path

    from accounting import Account, Sample
    from modbus_peer import Request

SILENT = ("chiller-1", "ups-1", "unit-2")
"""One of three on a BACnet line, one alone on its line, one of three behind a Modbus gateway that takes turns."""

NEIGHBOURS = ("ahu-1", "lift-1", "lv-main", "fire-panel", "unit-1", "unit-3")
POLL_S = 1.0
GAP_S_MAX = 1.8
"""Less than the interval and the timeout of the silent ones on the same line."""

RETURN_S_MAX = 10.0


@dataclass
class ModbusGateway:
    """Three units behind one TCP connection; notes who was answered and when, as the hospital's ground truth does."""

    silent: set[int] = field(default_factory=set)
    truth: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.unit not in self.silent:
            self.truth.append({"t": time.time(), "device": f"unit-{request.unit}", "start": request.start})
            writer.write(request.addresses())


def add_units(folder: Path, port: int) -> None:
    """The three units, beside the hospital's devices."""
    lines = folder / "lines.yaml"
    lines.write_text(
        lines.read_text(encoding="utf-8")
        + f"  units:\n    {{protocol: modbus, host: {HOST}, port: {port}, timeout: 300ms}}\n",
        encoding="utf-8",
    )
    device = {"line": "units", "system": "energy", "points": {"r7": {"register": 7, "poll": POLL_S, "heartbeat": "2s"}}}
    units = {f"unit-{unit}": {**device, "address": {"unit": unit}} for unit in (1, 2, 3)}
    write(folder / "devices" / "units.yaml", {"devices": units})


def longest_gaps(truth: Iterable[dict[str, Any]], begin: float, end: float) -> dict[str, float]:
    """For each device the longest time between two equal requests that it answered in this span."""
    answered: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line in truth:
        if begin <= line["t"] <= end:
            answered[line["device"], str(line.get("start", sorted(line.get("values", ()))))].append(line["t"])
    longest: dict[str, float] = {}
    for (device, _), times in answered.items():
        gap = max(later - earlier for earlier, later in pairwise([begin, *times, end]))
        longest[device] = max(gap, longest.get(device, 0.0))
    return longest


def assert_never_good(meanwhile: list[Sample]) -> None:
    """Once what was under way has come: first `last_known` with its value, then `comm_lost` without one, no more."""
    silent = list(dropwhile(lambda one: one.quality == "good", meanwhile))
    told = [key for key, _ in groupby((one.quality, one.reason) for one in silent)]
    assert told == [("uncertain", "last_known"), ("bad", "comm_lost")]
    assert all(one.value is None for one in silent if one.quality == "bad")


def states_of(found: Account, device: str) -> list[tuple[str, float]]:
    """The states that were told of a device, each with when it was received."""
    told = [one for one in found.records("state") if one.type == "device.state.v1" and one.data["device"] == device]
    return [(one.data["state"], one.time) for one in told]


async def test_silent_devices_do_not_slow_their_neighbours_and_are_never_good() -> None:
    """On a shared line and on one of its own: last_known, then comm_lost and offline; back within ten seconds."""
    units = ModbusGateway()
    with folder() as here:
        async with broker(here) as server, HospitalProcess() as hospital, peer(units.answer) as field_gateway:
            configure_hospital(here, hospital, server.port, *FAST, ("poll: {N: 2s}", "poll: {N: 1s}"))
            add_units(here, field_gateway.port)
            with Gateway(here) as gateway, Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: all(view.state == "online" for view in gateway.status().devices))
                await hospital.fault("chiller-1", "silent")
                await hospital.fault("ups-1", "silent")
                units.silent.add(2)
                begin = time.time()
                await until(lambda: all(gateway.device(device).state == "offline" for device in SILENT))
                shown = [point for device in SILENT for point in gateway.points(device)]
                end = time.time()
                await hospital.fault("chiller-1", "none")
                await hospital.fault("ups-1", "none")
                units.silent.clear()
                await until(lambda: all(gateway.device(device).state == "online" for device in SILENT))
                returned = time.time()
                assert in_time(returned - end, RETURN_S_MAX)
                assert (await gateway.stop())[0] == 0
                truth = [*await hospital.truth(), *units.truth]
            came = arrivals(receiver.path)
            found = account(came, gateway.lanes())
    assert found.faults == []
    assert schema_faults(came) == []
    gaps = longest_gaps(truth, begin, end)
    show(f"silent for {end - begin:.1f} s, back after {returned - end:.1f} s; longest gaps {gaps}")
    assert {device for device in NEIGHBOURS if not in_time(gaps[device], GAP_S_MAX)} == set()
    for (device, _), said in samples(found).items():
        if device in SILENT:
            assert_never_good([one for one in said if begin < one.time < end])
    for device in SILENT:
        assert [state for state, _ in states_of(found, device)][-2:] == ["offline", "online"]
    assert {point.q for point in shown} == {"bad"}
