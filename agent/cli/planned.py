"""What a configuration will ask of its devices, as `points --plan` shows it. Opens nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.accept import accept
from agent.clock import SystemClock
from agent.control.client import NotDone, UnknownName
from agent.poll import polls_of
from config.errors import ConfigInvalid
from drivers.contract import Planning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from config.model import Device, Line
    from drivers.contract import Driver


class RequestView(msgspec.Struct, frozen=True):
    """One request; `bus_ms` is how long it takes its line, null where only the device knows."""

    line: str
    device: str
    poll_s: float
    request: str
    points: list[str]
    bus_ms: float | None


class LoadView(msgspec.Struct, frozen=True):
    """What a line has to bear: requests in a second, and the share of its time that they take, in percent."""

    line: str
    requests_per_s: float
    bus_pct: float | None


class PlanView(msgspec.Struct, frozen=True):
    """What `points --plan --json` prints. Lines whose devices report by themselves have no requests."""

    requests: list[RequestView]
    lines: list[LoadView]


def plan(folder: Path, device: str | None) -> PlanView:
    """Of all devices, or of one. Raises `NotDone` for a configuration with mistakes, `UnknownName`."""
    try:
        config, drivers = accept(folder, SystemClock())
    except ConfigInvalid as invalid:
        what = f"the configuration in {folder} cannot be used (mistakes: {len(invalid.problems)})"
        raise NotDone(what, f"see `wardgate check --config {folder}`") from invalid
    if device is not None and device not in {each.id for each in config.devices}:
        raise UnknownName(f"no device {device!r}", "see `wardgate points --plan` without a name")
    pairs = list(zip(config.lines, drivers, strict=True))
    by_line = {
        line.id: [view for each in line.devices for view in _requests(line, driver, each)] for line, driver in pairs
    }
    return PlanView(
        requests=[view for views in by_line.values() for view in views if device in (None, view.device)],
        lines=[_load(line, views) for line, views in by_line.items() if views],
    )


def _requests(line: Line, driver: Driver, device: Device) -> Iterator[RequestView]:
    if isinstance(driver, Planning):
        for poll in polls_of(device):
            for one in driver.requests(poll):
                bus_ms = None if one.bus_s is None else round(1000 * one.bus_s, 1)
                yield RequestView(line.id, device.id, poll.interval_s, one.what, list(one.points), bus_ms)


def _load(line: str, views: list[RequestView]) -> LoadView:
    known = [view for view in views if view.bus_ms is not None]
    busy = sum((view.bus_ms or 0.0) / 1000 / view.poll_s for view in known)
    rate = sum(1 / view.poll_s for view in views)
    return LoadView(line, round(rate, 2), round(100 * busy, 1) if known else None)
