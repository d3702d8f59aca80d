"""What every broker keeps about devices: what each of them is, and how it is now. Of one that is gone, nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.envelope import topic
from agent.events import DeviceState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.events import Event
    from agent.lines import Lines
    from agent.reload import Change
    from agent.uplink.uplink import Uplink


class Retain:
    """Add `on_stored` to the pipeline's listeners, `follow` to those of another configuration, and have an uplink that
    begins later welcomed by `greet`.
    """

    def __init__(self, lines: Lines, uplinks: Iterable[Uplink], cfg_ver: str) -> None:
        self._lines = lines
        self._uplinks = uplinks
        self._cfg_ver = cfg_ver
        for uplink in uplinks:
            self.greet(uplink)

    def greet(self, uplink: Uplink) -> None:
        """It knows nothing yet."""
        for presence in self._lines.devices:
            uplink.retain(presence.meta(self._cfg_ver))
            uplink.retain(presence.event())

    def on_stored(self, events: Iterable[Event]) -> None:
        """How a device is now."""
        self._tell(event for event in events if isinstance(event.body, DeviceState))

    def follow(self, change: Change) -> None:
        """What devices are is told of all of them: telemetry names the configuration that it is to be read by."""
        self._cfg_ver = change.config.version
        self._tell(presence.meta(self._cfg_ver) for presence in self._lines.devices)
        self._tell(presence.event() for worker in change.opened for presence in worker.devices.values())
        here = {topic(presence.event().body) for presence in self._lines.devices}
        closed = (presence for worker in change.closed for presence in worker.devices.values())
        for gone in (presence for presence in closed if topic(presence.event().body) not in here):
            for uplink in self._uplinks:
                uplink.forget(gone.event())
                uplink.forget(gone.meta(self._cfg_ver))

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            for uplink in self._uplinks:
                uplink.retain(event)
