"""The whole way under load: registers of 100 devices to an independent subscriber, each stage in a process of its own.

A run fails where configured and observed changes, journal records, PUBACKs and subscriber samples disagree: a benchmark
that loses something has measured nothing. The time from a register's change to the subscriber is counted from the
moment at which the responder first handed the new value out, so the poll interval itself is not in it.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import Figure
from subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
REGISTERS = 100
COUNTERS = 65536
ALARMED_EVERY = 10
TICKS = os.sysconf("SC_CLK_TCK")
WARM_UP_S = 5.0

CPU_S_MAX = 5.0
P50_MS_MAX = 50.0
P99_MS_MAX = 100.0
RSS_MB_MAX = 110.0
FIRST_VALUES_S_MAX = 5.0

LAST_WINDOW_S = 2.0
"""Longer than any telemetry window here: what was read last is in the journal then."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much. `window` and `size_max` are the journal's, as they are written in the configuration.

    `is_promised` where the limits hold, otherwise the figures are for comparison; `points_s_min` is the least that must
    come through, `late_polls_min` what must be said where more is asked for than can be done.
    """

    devices: int = 100
    changing: int = REGISTERS
    seconds: float = 15.0
    window: str = "20ms"
    size_max: str = "2GB"
    is_promised: bool = False
    poll_s: float = 1.0
    points_s_min: float | None = None
    late_polls_min: int | None = None


@dataclass(slots=True)
class Site:
    """The processes of one run, and the folder that they share."""

    load: Load
    net: str
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="wardgate-bench-")))
    children: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def configure(self) -> None:
        """Write a configuration: one line and one device per address, four levels of limits on every tenth point."""
        for name in ("profiles", "devices", "journal"):
            (self.folder / name).mkdir()
        rows = "\n".join(f"  r{n}: {{register: {n}, poll: {self.load.poll_s * 1000:.0f}ms}}" for n in range(REGISTERS))
        self._write("profiles/bench.yaml", f"protocol: modbus\nsource: unverified\nsystem: energy\npoints:\n{rows}")
        self._write(
            "gateway.yaml",
            f"site: bench\ngateway: gw-b\ntime_zone: UTC\n"
            f"control_socket: {self.folder}/control.sock\nstate: {self.folder}/state\n"
            f"journal: {{path: {self.folder}/journal, telemetry_window: {self.load.window}, "
            f"size_max: {self.load.size_max}}}\n"
            f'uplinks:\n  platform: {{brokers: ["mqtt://{self.broker}:1883"], backlog_rate: 100000}}',
        )
        limits = "limit: {HH: 80000, H: 70000, L: -10, LL: -20}, deadband: 1, colour: yellow"
        alarms = "\n".join(f"      a{n}: {{point: r{n}, {limits}}}" for n in range(0, REGISTERS, ALARMED_EVERY))
        numbers = range(1, self.load.devices + 1)
        lines = "\n".join(f"  l{n}: {{protocol: modbus, host: {self.net}.{n}, port: 1502}}" for n in numbers)
        devices = "\n".join(f"  m{n}:\n    line: l{n}\n    profile: bench\n    alarms:\n{alarms}" for n in numbers)
        self._write("lines.yaml", f"lines:\n{lines}")
        self._write("devices/meters.yaml", f"devices:\n{devices}")
        self._write("broker.conf", f"listener 1883 {self.broker}\nallow_anonymous true\nmax_queued_messages 0")

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text + "\n", encoding="utf-8")

    @property
    def broker(self) -> str:
        return f"{self.net}.250"

    def start(self, name: str, *command: str) -> int:
        """Start a process whose output goes to a file of its name; gives its pid."""
        with (self.folder / f"{name}.log").open("a") as out:
            self.children[name] = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True)
        return self.children[name].pid

    def start_broker(self) -> None:
        self.start("broker", "mosquitto", "-c", str(self.folder / "broker.conf"))
        wait_for("the broker", lambda: listens(self.broker, 1883))

    def end(self, name: str) -> None:
        """SIGTERM, and wait."""
        child = self.children[name]
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.wait(20)

    def close(self) -> None:
        for name in reversed(self.children):
            self.end(name)
        shutil.rmtree(self.folder)

    def status(self) -> dict[str, Any]:
        """What `wardgate status --json` shows."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.folder / "control.sock"))
        connection.request("GET", "/v1/status")
        status: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return status


@dataclass(slots=True)
class Window:
    """What the gateway's process used while it was watched."""

    cpu_s: float
    elapsed_s: float
    polls: int
    late_polls: int
    rss_mb: float


def run(load: Load, net: str) -> list[Figure]:
    """The figures of one load. Raises `AssertionError` where the stages disagree, `TimeoutError` where one hangs."""
    site = Site(load, net)
    try:
        site.configure()
        site.start_broker()
        served_log = site.folder / "served.json"
        python = sys.executable
        site.start(
            "responder", python, str(HERE / "responder.py"),
            "--net", net, "--log", str(served_log), "--devices", str(load.devices), "--changing", str(load.changing),
            "--interval", str(load.poll_s),
        )  # fmt: skip
        wait_for("the responder", lambda: listens(f"{net}.{load.devices}", 1502))
        subscriber = Subscriber(site.broker, 1883)
        begin = time.monotonic()
        pid = site.start("gateway", python, "-m", "agent", "run", "--config", str(site.folder))
        wait_for("first values of all devices", lambda: subscriber.devices == load.devices, 30)
        first_values_s = time.monotonic() - begin
        time.sleep(WARM_UP_S)
        window = _watch(site, pid, load.seconds)
        site.end("responder")
        final = _settled(site, subscriber)
        served = {
            (device, counter % COUNTERS): at for device, counter, at in json.loads(served_log.read_text())["served"]
        }
        subscriber.close()
        _compare(served, subscriber)
        return _figures(load, served, subscriber, final, window, first_values_s)
    except TimeoutError:
        sys.stderr.write((site.folder / "gateway.log").read_text()[-2000:])
        raise
    finally:
        site.close()


def _watch(site: Site, pid: int, seconds: float) -> Window:
    cpu_s, before, begin = _cpu_s(pid), site.status()["devices"], time.monotonic()
    time.sleep(seconds)
    elapsed_s, cpu_s, after = time.monotonic() - begin, _cpu_s(pid) - cpu_s, site.status()["devices"]

    def grown(key: str) -> int:
        return int(sum(device[key] for device in after) - sum(device[key] for device in before))

    return Window(cpu_s, elapsed_s, grown("polls"), grown("late_polls"), rss_peak_mb(pid))


def _settled(site: Site, subscriber: Subscriber) -> dict[str, Any]:
    """The status once everything that was read is acknowledged and delivered."""
    time.sleep(LAST_WINDOW_S)
    balanced: list[dict[str, Any]] = []

    def is_balanced() -> bool:
        balanced.append(site.status())
        return len(set(_accounts(balanced[-1]))) == 1

    wait_for("the PUBACKs", is_balanced, 30)
    status = balanced[-1]
    stored = status["journal"]["streams"]["telemetry"]["next_seq"] - 2  # without the record that begins the stream
    wait_for("the last messages", lambda: len(subscriber.sequences) >= stored)
    return status


def _accounts(status: dict[str, Any]) -> tuple[int, int]:
    """Records stored, and records acknowledged by the broker: equal once nothing is under way."""
    stored = sum(stream["next_seq"] - 1 for stream in status["journal"]["streams"].values())
    return stored, status["uplinks"][0]["acknowledged"]


def _compare(served: dict[tuple[int, int], float], subscriber: Subscriber) -> None:
    missing = sorted(set(served) - set(subscriber.arrived))
    assert not missing, f"{len(missing)} served values never arrived, such as {missing[:3]}"
    invented = sorted(set(subscriber.arrived) - set(served))
    assert not invented, f"{len(invented)} values arrived that were never served, such as {invented[:3]}"


def _figures(
    load: Load,
    served: dict[tuple[int, int], float],
    subscriber: Subscriber,
    final: dict[str, Any],
    window: Window,
    first_values_s: float,
) -> list[Figure]:
    latencies_ms = sorted((subscriber.arrived[key] - at) * 1000 for key, at in served.items())
    records, pubacks = _accounts(final)

    def promised(name: str, value: float, unit: str, limit: float) -> Figure:
        return Figure(name, value, unit, limit if load.is_promised else None)

    return [
        Figure("configured", round(load.devices * load.changing / load.poll_s), "changes/s"),
        Figure(
            "observed", round(window.polls / window.elapsed_s * load.changing), "changes/s", load.points_s_min, True
        ),
        Figure("late polls", window.late_polls, "", load.late_polls_min, True),
        Figure("journal records", records),
        Figure("PUBACKs", pubacks),
        Figure("subscriber samples", subscriber.samples),
        Figure("share of a core", 100 * window.cpu_s / window.elapsed_s, "%", 100.0),
        promised("processor", window.cpu_s / (window.polls * REGISTERS) * 1e6, "s per million points", CPU_S_MAX),
        promised("register to subscriber, median", statistics.median(latencies_ms), "ms", P50_MS_MAX),
        promised("register to subscriber, p99", latencies_ms[int(len(latencies_ms) * 0.99)], "ms", P99_MS_MAX),
        promised("memory, most", window.rss_mb, "MB", RSS_MB_MAX),
        promised("first values of all devices", first_values_s, "s", FIRST_VALUES_S_MAX),
    ]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


def listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 10) -> None:
    """Return once the condition holds. Raises `TimeoutError` that says what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)
