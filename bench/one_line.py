"""The smallest whole configuration around some devices: one line, no uplink, a journal that nobody opens by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.files import LineSpec
from config.model import Config, Journal, Line, Text

if TYPE_CHECKING:
    from config.model import Device

NAME = Text("试验", "Test")


def config_of(*devices: Device, window_s: float = 1.0, **settings: Any) -> Config:
    """`settings` are fields of `Config` that are to be other than here; `window_s` is the journal's."""
    return Config(
        **{
            "site": "h01",
            "gateway": "gw",
            "name": NAME,
            "time_zone": "UTC",
            "topic_root": "wardgate/v1",
            "type_prefix": "wardgate.",
            "version": "c-1",
            "control_socket": Path("control.sock"),
            "journal": Journal(Path("journal"), 1, 1.0, window_s),
            "uplinks": (),
            "lines": (Line("line", NAME, "test", LineSpec(protocol="test"), devices, 1.0, 1),),
            **settings,
        }
    )
