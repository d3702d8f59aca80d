"""What every broker keeps about devices: what each of them is, and how it is now. Of one that is gone, nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.envelope import topic
from agent.events import DeviceState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.events import Event
    from agent.lines import Lines
    from agent.reload import Change
    from agent.uplink.uplink import Uplink


class Retain:
    """Add `on_stored` to the pipeline's listeners, and `follow` to those of another configuration."""

    def __init__(self, lines: Lines, uplinks: Sequence[Uplink], cfg_ver: str) -> None:
        self._lines = lines
        self._uplinks = uplinks
        self._tell(presence.meta(cfg_ver) for presence in lines.devices)
        self._tell(presence.event() for presence in lines.devices)

    def on_stored(self, events: Iterable[Event]) -> None:
        """How a device is now."""
        self._tell(event for event in events if isinstance(event.body, DeviceState))

    def follow(self, change: Change) -> None:
        """What devices are is told of all of them: telemetry names the configuration that it is to be read by."""
        self._tell(presence.meta(change.config.version) for presence in self._lines.devices)
        self._tell(presence.event() for worker in change.opened for presence in worker.devices.values())
        here = {topic(presence.event().body) for presence in self._lines.devices}
        closed = (presence for worker in change.closed for presence in worker.devices.values())
        for gone in (presence for presence in closed if topic(presence.event().body) not in here):
            for uplink in self._uplinks:
                uplink.forget(gone.event())
                uplink.forget(gone.meta(change.config.version))

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            for uplink in self._uplinks:
                uplink.retain(event)
