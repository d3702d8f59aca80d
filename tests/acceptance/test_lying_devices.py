"""Devices answer with the wrong length, with noise, with errors: nothing that they did not say becomes a value."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import pytest
from accounting import account, arrivals, samples, schema_faults
from field_truth import served_values
from hardware_mocks.client import HospitalProcess
from mqtt_peer import until
from plant import FAST, Gateway, broker, configure_hospital, folder, show
from receiver import Receiver

from config.load import load
from drivers import registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accounting import PointKey, Sample, Served

LIARS = ("lv-main", "gen-1", "fire-panel", "ahu-1", "or-1")
LIES = ("wrong_length", "garbage", "exception")
LIE_S = 2.5
"""Long enough for two polls of each device."""

CLOCKS_S = 0.1
"""The truth notes when a reply leaves, the gateway when it has come; both on this machine."""


def invented(said: Mapping[PointKey, Sequence[Sample]], served: Mapping[PointKey, Sequence[Served]]) -> list[str]:
    """Values of any quality that the device had not served by then, and bad ones that are a value all the same."""
    faults = []
    for key, of_point in said.items():
        times = [one.time for one in served[key]]
        for sample in of_point:
            known = served[key][: bisect_right(times, sample.time + CLOCKS_S)]
            if sample.quality == "bad":
                faults += [f"{key}: bad, and yet {sample.value}"] if sample.value is not None else []
            elif not any(is_same(sample.value, one.value) for one in reversed(known)):
                faults.append(f"{key}: {sample.value} ({sample.quality}) was never served before {sample.time:.3f}")
    return faults


def is_same(value: Any, served: Any) -> bool:
    if isinstance(value, float) and isinstance(served, (int, float)) and not isinstance(served, bool):
        return math.isclose(value, served, rel_tol=1e-6, abs_tol=1e-9)
    return bool(value == served)


@pytest.mark.timeout(90)
async def test_no_lie_becomes_a_value() -> None:
    """Every sample was served before, or is bad and empty; each liar is noticed, none raises an alarm, all return."""
    with folder() as here:
        async with broker(here) as server, HospitalProcess() as hospital:
            configure_hospital(here, hospital.net, server.port, *FAST, ("poll: {N: 2s}", "poll: {N: 1s}"))
            with Gateway(here) as gateway, Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: all(view.state == "online" for view in gateway.status().devices), 15)
                for lie in LIES:
                    await asyncio.gather(*(hospital.fault(device, lie) for device in LIARS))
                    await asyncio.sleep(LIE_S)  # the lie is the stimulus, and it has a length
                await asyncio.gather(*(hospital.fault(device, "none") for device in LIARS))
                await until(lambda: all(view.state == "online" for view in gateway.status().devices), 15)
                assert (await gateway.stop())[0] == 0
                truth = await hospital.truth()
            found = account(came := arrivals(receiver.path), gateway.last())
            config = load(here, registry.protocols())
    said = samples(found)
    noticed = {device: noticed_by(said, device) for device in LIARS}
    show(f"{sum(map(len, said.values()))} samples; noticed {noticed}")
    assert invented(said, served_values(truth, config)) == []
    assert all(noticed.values())
    assert found.alarms() == []
    assert found.faults == []
    assert schema_faults(came) == []


def noticed_by(said: Mapping[PointKey, Sequence[Sample]], device: str) -> list[str]:
    """The reasons with which values of a device were marked."""
    reasons = {one.reason for (name, _), of_point in said.items() if name == device for one in of_point}
    return sorted(reasons - {"ok"})
