"""Asking a device without a daemon: open its line, read once, close. Slow to import, so `read` does it late."""

from __future__ import annotations

import asyncio
import difflib
from typing import TYPE_CHECKING

from agent.cli.configured import accepted
from agent.clock import SystemClock
from agent.control.client import NotDone, UnknownName
from agent.events import Names, rfc3339
from agent.status import PointView
from config.errors import ConfigInvalid
from drivers import registry
from drivers.contract import Grade, Poll, Reading
from drivers.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.events import QualityName
    from config.model import Device, Line

TIMEOUTS_MAX = 6
"""Connecting and reading may each take this many request timeouts: several blocks, one retry."""

_GRADES: dict[Grade, QualityName] = {Grade.GOOD: "good", Grade.UNCERTAIN: "uncertain", Grade.BAD: "bad"}


def read(folder: Path, device: str, points: Sequence[str]) -> list[PointView]:
    """Raises `UnknownName`, or `NotDone` where the configuration or the device does not allow it."""
    try:
        config = accepted(folder)
    except ConfigInvalid as invalid:
        what = f"the configuration in {folder} cannot be used (mistakes: {len(invalid.problems)})"
        raise NotDone(what, f"see `wardgate check --config {folder}`") from invalid
    owners = {each.id: (line, each) for line in config.lines for each in line.devices}
    line, found = owners[_known(device, list(owners), "device")]
    for name in points:
        _known(name, [point.id for point in found.points], f"point of {device}")
    try:
        return _views(asyncio.run(_read(line, found, points)))
    except DriverError as error:
        raise NotDone(f"{error.endpoint}: {error.what}", error.hint) from error
    except TimeoutError as error:
        what = f"{line.spec.endpoint}: no answer within {line.timeout_s * TIMEOUTS_MAX:g} s"
        raise NotDone(what, "check power, cable and address") from error


async def _read(line: Line, device: Device, points: Sequence[str]) -> Reading:
    driver = registry.build(line, SystemClock())
    chosen = tuple(point for point in device.points if not points or point.id in points)
    try:
        async with asyncio.timeout(line.timeout_s * TIMEOUTS_MAX):
            await driver.connect()
        async with asyncio.timeout(line.timeout_s * TIMEOUTS_MAX):
            return await driver.read(Poll(device, chosen, 0.0))
    finally:
        await driver.close()


def _views(reading: Reading) -> list[PointView]:
    views = []
    for index, point in enumerate(reading.poll.points):
        flaw = reading.flaws.get(index)
        view = PointView(
            device=point.device,
            point=point.id,
            name=Names(zh=point.name.zh, en=point.name.en),
            value=reading.values[index],
            unit=point.unit,
            q=_GRADES[flaw.grade] if flaw else "good",
            qr=flaw.reason if flaw else "ok",
            qraw=flaw.raw if flaw else "",
            time=rfc3339(reading.time),
            age_s=0.0,
            address=point.spec.where,
        )
        views.append(view)
    return views


def _known(name: str, names: Sequence[str], kind: str) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3)
    raise UnknownName(f"no {kind} {name!r}", f"did you mean {' or '.join(near)}?" if near else "see `wardgate points`")
