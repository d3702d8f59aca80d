"""A disk that holds a commit for two seconds: every device is polled on time, every alarm is decided on time.

.venv/bin/python bench/held_commit.py      exit code 1 where a limit is missed or the accounts disagree; needs cc

The gateway as it is, with a library before libc whose fsync waits. An alarm is sent only when it is on disk, so its
event comes late, from memory after a second; what must not be late is the decision in it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from figures import Figure, show
from gateway import HERE, REGISTERS, Load, Site, listens, wait_for
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from responder import register_values

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.client import MQTTMessage

NET = "127.61.10"
DEVICES = 20
SPAN_S = 20
HELD_S = 2.0
BEFORE_S = 3.0
DECISION_MS_MAX = 100.0
POLL_S = 1.0
LATE_MS_MAX = 250.0
"""What a poll may come after its interval: what jitter there is without any disk trouble."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Seconds since the epoch: the reading, the decision, and the transaction on disk."""

    read: float
    decided: float
    stored: float


@dataclass
class Platform:
    """Hears of alarms, until `close`."""

    host: str
    alarms: list[Alarm] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="bench-platform")
        self._client.on_message = self._on_message
        self._client.connect(self.host, 1883)
        self._client.subscribe("wardgate/v1/+/+/alarm/#", qos=1)
        self._client.loop_start()

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        event = json.loads(message.payload)
        times = (event["data"]["ts_gateway"], event["data"]["ts_decided"], event["recordedtime"])
        self.alarms.append(Alarm(*(datetime.fromisoformat(time).timestamp() for time in times)))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def add_alarms(site: Site, begin: float) -> None:
    """One at each device every second."""
    devices = []
    for device in range(1, DEVICES + 1):
        rows = []
        for second in range(SPAN_S):
            values = register_values(int(begin) + second, REGISTERS)
            register = next(at for at in range(second, REGISTERS) if 1_000 < values[at] < 60_000)
            rows.append(f"      s{second}: {{point: r{register}, limit: {{H: {values[register]}}}, colour: red}}")
        alarms = "\n".join(rows)
        devices.append(f"  m{device}:\n    line: l{device}\n    profile: bench\n    alarms:\n{alarms}")
    (site.folder / "devices" / "meters.yaml").write_text("devices:\n" + "\n".join(devices) + "\n", encoding="utf-8")


def build(folder: Path) -> Path:
    library = folder / "slow_disk.so"
    source = HERE / "slow_disk.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def start(site: Site, held: Path) -> None:
    """Responder, broker and gateway."""
    python, served = sys.executable, str(site.folder / "served.json")
    responder = [python, str(HERE / "responder.py"), "--net", NET, "--log", served, "--devices", str(DEVICES)]
    site.start("responder", *responder)
    wait_for("the responder", lambda: listens(f"{NET}.{DEVICES}", 1502))
    site.start_broker()
    preload = ["env", f"LD_PRELOAD={build(site.folder)}", f"SLOW_DISK_HELD={held}"]
    site.start("gateway", *preload, python, "-m", "agent", "run", "--config", str(site.folder))


def hold(held: Path) -> tuple[float, float]:
    """Gives when it began and when it ended."""
    begin = time.time()
    held.touch()
    time.sleep(HELD_S)
    held.unlink()
    return begin, time.time()


def run(site: Site) -> tuple[list[Alarm], list[float]]:
    """The alarms that were read while the disk held, and the gaps between polls then, in seconds."""
    held = site.folder / "held"
    site.configure()
    add_alarms(site, time.time() + BEFORE_S)
    start(site, held)
    platform = Platform(site.broker)
    wait_for("the first alarms", lambda: len(platform.alarms) > DEVICES, 30)
    begin, end = hold(held)
    wait_for("an alarm after it", lambda: any(alarm.read > end for alarm in list(platform.alarms)))
    site.end("responder")
    platform.close()
    found = [alarm for alarm in platform.alarms if begin < alarm.read < end]
    return found, gaps(site.folder / "served.json", begin, end)


def gaps(log: Path, begin: float, end: float) -> list[float]:
    """Between two polls of one device of which the later one lies in the time."""
    times: dict[int, list[float]] = {}
    for device, _, at in json.loads(log.read_text())["served"]:
        times.setdefault(device, []).append(at)
    return [later - at for of_device in times.values() for at, later in pairwise(of_device) if begin < later < end]


def figures() -> list[Figure]:
    site = Site(Load(devices=DEVICES), NET)
    try:
        alarms, waits_s = run(site)
    finally:
        site.close()
    assert len(alarms) > DEVICES, f"only {len(alarms)} alarms meanwhile"
    decision_ms = max((alarm.decided - alarm.read) * 1000 for alarm in alarms)
    late_ms = (max(waits_s) - POLL_S) * 1000
    stored_s = max(alarm.stored - alarm.decided for alarm in alarms)
    assert stored_s > HELD_S / 4, "nothing was held"
    held = f"a commit held for {HELD_S:g} s:"
    return [
        Figure(f"{held} deciding an alarm, most", decision_ms, "ms", DECISION_MS_MAX),
        Figure(f"{held} a poll is late, most", late_ms, "ms", LATE_MS_MAX),
        Figure(f"{held} an alarm goes on after, in memory", stored_s, "s at most"),
    ]


if __name__ == "__main__":
    if shutil.which("cc") is None:
        sys.exit("this needs a C compiler: cc")
    sys.exit(show(figures()))
