"""Asking a device without a daemon: open its line, read once, close. Slow to import, so `read` does it late."""

from __future__ import annotations

import asyncio
import difflib
from typing import TYPE_CHECKING

from agent.accept import accept
from agent.asked import asked
from agent.clock import SystemClock
from agent.control.client import NotDone, UnknownName
from agent.presence import point_view
from config.errors import ConfigInvalid
from drivers.contract import Poll
from drivers.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.status import PointView
    from config.model import Line
    from drivers.contract import Driver, Reading

TIMEOUTS_MAX = 6
"""Connecting and reading may each take this many request timeouts: several blocks, one retry."""


def read(folder: Path, device: str, points: Sequence[str], *, orders: bool = False) -> list[PointView]:
    """Raises `UnknownName`, or `NotDone` where the configuration or the device does not allow it."""
    try:
        config, drivers = accept(folder, SystemClock())
    except ConfigInvalid as invalid:
        what = f"the configuration in {folder} cannot be used (mistakes: {len(invalid.problems)})"
        raise NotDone(what, f"see `wardgate check --config {folder}`") from invalid
    owners = {
        each.id: (line, driver, each)
        for line, driver in zip(config.lines, drivers, strict=True)
        for each in line.devices
    }
    line, driver, found = owners[_known(device, list(owners), "device")]
    for name in points:
        if name in {point.id for point in found.derived}:
            raise UnknownName(f"{name} of {device} is computed, not read", "see `wardgate points`")
        _known(name, [point.id for point in found.points], f"point of {device}")
    try:
        chosen = asked(found.points, points, orders=orders)
        return _views(asyncio.run(_read(line, driver, Poll(found, chosen, 0.0))))
    except DriverError as error:
        raise NotDone(f"{error.endpoint}: {error.what}", error.hint) from error
    except TimeoutError as error:
        what = f"{line.spec.endpoint}: no answer within {line.timeout_s * TIMEOUTS_MAX:g} s"
        raise NotDone(what, "check power, cable and address") from error


async def _read(line: Line, driver: Driver, poll: Poll) -> Reading:
    try:
        async with asyncio.timeout(line.timeout_s * TIMEOUTS_MAX):
            await driver.connect()
        async with asyncio.timeout(line.timeout_s * TIMEOUTS_MAX):
            return await driver.read(poll)
    finally:
        await driver.close()


def _views(reading: Reading) -> list[PointView]:
    return [point_view(reading, index, reading.mono) for index in range(len(reading.poll.points))]


def _known(name: str, names: Sequence[str], kind: str) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3)
    raise UnknownName(f"no {kind} {name!r}", f"did you mean {' or '.join(near)}?" if near else "see `wardgate points`")
