"""The demo's own MQTT broker: mosquitto where it is installed, otherwise the embedded one.

Bound to one loopback address. Neither is for production: nothing is asked of who connects.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.control.client import ControlError

if TYPE_CHECKING:
    from pathlib import Path

PORT = 1883
OTHER_PORT = 1884
"""The embedded broker has a port per MQTT version; nobody uses this one."""
PAYLOAD_BYTES_MAX = 1_048_576

_MOSQUITTO = """\
listener {port} {host}
allow_anonymous true
user {user}
# A subscriber that comes back finds what was sent while the broker was pulled.
persistence true
persistence_location {folder}/
max_queued_messages 0
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
"""

_EMBEDDED = """\
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 1000
max_segment_size = 10485760
max_segment_count = 10
"""

_EMBEDDED_LISTENER = """
[{version}.1]
name = "{version}"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[{version}.1.connections]
connection_timeout_ms = 10000
max_payload_size = {payload_max}
max_inflight_count = 200
dynamic_filters = true
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """What to start, and where it will listen."""

    name: str
    command: list[str]
    host: str


def prepare(folder: Path, host: str) -> Broker:
    """Write the broker's configuration into `folder`. Raises `ControlError` where there is no broker to start."""
    folder.mkdir()
    mosquitto = shutil.which("mosquitto", path=_search_path())
    if mosquitto is not None:
        file = folder / "mosquitto.conf"
        file.write_text(_MOSQUITTO.format(port=PORT, host=host, user=getpass.getuser(), folder=folder))
        return Broker("mosquitto", [mosquitto, "-c", str(file)], host)
    if importlib.util.find_spec("iotcore") is not None:
        file = folder / "broker.toml"
        listeners = (("v5", PORT), ("v4", OTHER_PORT))
        file.write_text(
            _EMBEDDED
            + "".join(
                _EMBEDDED_LISTENER.format(version=version, host=host, port=port, payload_max=PAYLOAD_BYTES_MAX)
                for version, port in listeners
            )
        )
        # It reports every packet as an error; only what ends it is worth a line.
        options = ["--config", str(file), "--log-level", "CRITICAL"]
        return Broker("iotcore", [sys.executable, "-m", "iotcore", *options], host)
    raise ControlError("the demo needs an MQTT broker", "install mosquitto, or wardgate[demo]")


def _search_path() -> str:
    """Debian keeps daemons where an ordinary user's path does not look."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
