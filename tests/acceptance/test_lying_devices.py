"""Devices answer with the wrong length, with noise, with errors: nothing that they did not say becomes a value."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from accounting import account, arrivals, never_served, samples, schema_faults
from field_truth import served_values
from hardware_mocks.client import HospitalProcess
from mqtt_peer import until
from plant import FAST, Gateway, broker, configure_hospital, folder, show
from receiver import Receiver

from config.load import load
from drivers import registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accounting import PointKey, Sample

LIARS = ("lv-main", "gen-1", "fire-panel", "ahu-1", "or-1")
LIES = ("wrong_length", "garbage", "exception")
LIE_S = 2.5
"""Long enough for two polls of each device."""


async def test_no_lie_becomes_a_value() -> None:
    """Every sample was served before, or is bad and empty; each liar is noticed, none raises an alarm, all return."""
    with folder() as here:
        async with broker(here) as server, HospitalProcess() as hospital:
            configure_hospital(here, hospital, server.port, *FAST, ("poll: {N: 2s}", "poll: {N: 1s}"))
            with Gateway(here) as gateway, Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: all(view.state == "online" for view in gateway.status().devices))
                for lie in LIES:
                    await asyncio.gather(*(hospital.fault(device, lie) for device in LIARS))
                    await asyncio.sleep(LIE_S)  # the lie is the stimulus, and it has a length
                await asyncio.gather(*(hospital.fault(device, "none") for device in LIARS))
                await until(lambda: all(view.state == "online" for view in gateway.status().devices))
                assert (await gateway.stop())[0] == 0
                truth = await hospital.truth()
            found = account(came := arrivals(receiver.path), gateway.lanes())
            config = load(here, registry.protocols())
    computed = {(device.id, point.id) for device in config.devices for point in device.derived}
    said = {key: of_point for key, of_point in samples(found).items() if key not in computed}
    noticed = {device: noticed_by(said, device) for device in LIARS}
    show(f"{sum(map(len, said.values()))} samples; noticed {noticed}")
    assert never_served(said, served_values(truth, config)) == []
    assert all(noticed.values())
    assert found.alarms() == []
    assert found.faults == []
    assert schema_faults(came) == []


def noticed_by(said: Mapping[PointKey, Sequence[Sample]], device: str) -> list[str]:
    """The reasons with which values of a device were marked."""
    reasons = {one.reason for (name, _), of_point in said.items() if name == device for one in of_point}
    return sorted(reasons - {"ok"})
