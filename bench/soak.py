"""A gateway amid faults for twenty minutes: whether its memory grows, and whether its files keep their limits.

.venv/bin/python bench/soak.py [--minutes 20]      exit code 1 where something grows; three minutes are the least

The simulated hospital on all three protocols, and 50 meters that change 5,000 values a second, so that the journal runs
into its limit. All the time something is wrong: the broker is killed or frozen, a device silent, slow, refusing or
lying, the mains away, a zone on fire. Beside it somebody scrapes the metrics and looks at the status every second.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import signal
import socket
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from figures import Figure, show

from agent.cli.stage import Child, stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.cli.stage import Stage
    from agent.control.client import Client

METERS = 50
REGISTERS = 100
SIZE_MAX_MB = 18.0
"""Of which the write-ahead log may have 16: what is left is full after some ten minutes."""

SLACK_MB = 4.2
"""Pages that are free and not given back yet (`buffer.retention`)."""

FAULT_EVERY_S = 9.0
FAULT_S = 6.0
MINUTES_MIN = 3.0
SETTLE_S = 60.0
"""After the last fault: until everything has come back and been delivered."""

GROWTH_MB_MAX = 4.0
RSS_MB_MAX = 200.0
LOG_MB_MAX = 1.0
DEVICE_FAULTS = ("silent", "slow", "refuse", "exception", "wrong_length", "garbage", "frozen", "restart")
HAPPENINGS = ("mains_fail", "mains_return", "fire", "fire_reset", "oxygen_low", "oxygen_ok", "lift_entrap", "lift_free")


@dataclass(frozen=True, slots=True)
class Sample:
    """The gateway at one moment."""

    at: float
    rss_mb: float
    files: int
    threads: int
    journal_mb: float
    log_mb: float
    scrape_ms: float


@dataclass(slots=True)
class Soak:
    """One run."""

    site: Stage
    desk: Client
    seconds: float
    random: Random = field(default_factory=lambda: Random(1))
    samples: list[Sample] = field(default_factory=list)
    faults: int = 0

    async def run(self) -> list[Figure]:
        begin = time.monotonic()
        pid = self.site.gateway.pid
        watching = asyncio.create_task(self._watch(pid, begin))
        while time.monotonic() - begin < self.seconds - SETTLE_S:
            due = time.monotonic() + FAULT_EVERY_S
            await self._something_happens()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.sleep(max(0.0, begin + self.seconds - time.monotonic()))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        self.site.check()
        return self._figures()

    async def _watch(self, pid: int, begin: float) -> None:
        while True:
            scrape_ms = await asyncio.to_thread(self._look)
            self.samples.append(sample(self.site, pid, time.monotonic() - begin, scrape_ms))
            await asyncio.sleep(1.0)

    def _look(self) -> float:
        """As a monitoring system and a person do; gives how long the metrics took."""
        self.desk.status()
        began = time.monotonic()
        connection = http.client.HTTPConnection("wardgate", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.site.config / "control.sock"))
        connection.request("GET", "/metrics")
        connection.getresponse().read()
        connection.close()
        return (time.monotonic() - began) * 1000

    async def _something_happens(self) -> None:
        self.faults += 1
        wrong: list[Callable[[], Awaitable[None]]] = [
            self._broker_away, self._broker_frozen, self._device_ill, self._device_ill, self._house,
        ]  # fmt: skip
        await wrong[self.faults % len(wrong)]()

    async def _broker_away(self) -> None:
        await self.site.broker.stop()
        await asyncio.sleep(FAULT_S)
        await self.site.push_broker()

    async def _broker_frozen(self) -> None:
        os.kill(self.site.broker.pid, signal.SIGSTOP)
        await asyncio.sleep(FAULT_S)
        os.kill(self.site.broker.pid, signal.SIGCONT)

    async def _device_ill(self) -> None:
        device = self.random.choice([view.id for view in self.desk.status().devices if not view.id.startswith("m")])
        await self.site.hospital.fault(device, self.random.choice(DEVICE_FAULTS), FAULT_S)

    async def _house(self) -> None:
        await self.site.hospital.act(HAPPENINGS[self.faults // 5 % len(HAPPENINGS)])

    def _driver_faults(self) -> int:
        return (self.site.config.parent / "gateway.log").read_text(encoding="utf-8").count("fault inside the driver")

    def _figures(self) -> list[Figure]:
        quarter = len(self.samples) // 4
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]

        def growth(of: Callable[[Sample], float]) -> float:
            return statistics.median(map(of, late)) - statistics.median(map(of, early))

        status = self.desk.status()
        waiting = sum(sum(uplink.waiting.values()) for uplink in status.uplinks)
        lost = sum(stream.dropped for stream in status.journal.streams.values())
        return [
            Figure("minutes", self.seconds / 60),
            Figure("faults", self.faults),
            Figure("points", sum(d.points_good + d.points_uncertain + d.points_bad for d in status.devices)),
            Figure("memory, at the end", self.samples[-1].rss_mb, "MB", RSS_MB_MAX),
            Figure("memory, last quarter over second quarter", growth(lambda s: s.rss_mb), "MB", GROWTH_MB_MAX),
            Figure("open files, the same", growth(lambda s: s.files), "", 2),
            Figure("threads, the same", growth(lambda s: s.threads), "", 1),
            Figure("journal, most", max(s.journal_mb for s in self.samples), "MB", SIZE_MAX_MB + SLACK_MB),
            Figure("faults inside a driver", self._driver_faults(), "", 0),
            Figure("log", self.samples[-1].log_mb, "MB", LOG_MB_MAX),
            Figure("records trimmed at the limit", status.journal.streams["telemetry"].first_kept_seq - 1),
            Figure("records lost", lost, "", 0),
            Figure("records that wait at the end", waiting, "", 200),
            Figure("a scrape, median", statistics.median(s.scrape_ms for s in self.samples), "ms"),
        ]


def sample(site: Stage, pid: int, at: float, scrape_ms: float) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    journal = sum(file.stat().st_size for file in (site.config / "journal").iterdir())
    return Sample(
        at,
        int(fields["VmRSS"].split()[0]) / 1024,
        len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208  # names suffice
        int(fields["Threads"]),
        journal / 1e6,
        (site.config.parent / "gateway.log").stat().st_size / 1e6,
        scrape_ms,
    )


def add_meters(site: Stage) -> Child:
    """Write them into the configuration; gives what serves them."""
    net, config = site.hospital.net, site.config
    rows = "\n".join(f"  r{n}: {{register: {n}, poll: L}}" for n in range(REGISTERS))
    profile = f"protocol: modbus\nsource: unverified\nsystem: energy\npoints:\n{rows}\n"
    (config / "profiles").mkdir(exist_ok=True)
    (config / "profiles" / "soak.yaml").write_text(profile, encoding="utf-8")
    hosts = {f"m{n}": f"{net}.{n}" for n in range(101, 101 + METERS)}
    with (config / "lines.yaml").open("a", encoding="utf-8") as lines:
        lines.writelines(f"  {name}: {{protocol: modbus, host: {host}, port: 1503}}\n" for name, host in hosts.items())
    devices = "devices:\n" + "".join(f"  {name}: {{line: {name}, profile: soak}}\n" for name in hosts)
    (config / "devices" / "meters.yaml").write_text(devices, encoding="utf-8")
    gateway = config / "gateway.yaml"
    text = gateway.read_text(encoding="utf-8")
    gateway.write_text(text.replace("size_max: 2GB", f"size_max: {SIZE_MAX_MB:.0f}MB"), encoding="utf-8")
    here, folder = Path(__file__).parent, config.parent
    command = [
        sys.executable, str(here / "responder.py"), "--net", net, "--port", "1503", "--first", "101",
        "--devices", str(METERS), "--log", str(folder / "served.json"),
    ]  # fmt: skip
    return Child("meters", command, folder / "meters.log")


async def soak(minutes: float) -> list[Figure]:
    async with stage(1, print) as site:
        meters = add_meters(site)
        await meters.start()
        try:
            desk = await site.start_gateway()
            await site.tell_hospital(site.hospital.play("demo"))
            return await Soak(site, desk, minutes * 60).run()
        finally:
            await meters.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    options = parser.parse_args()
    if options.minutes < MINUTES_MIN:
        parser.error(f"--minutes must be at least {MINUTES_MIN:g}")
    return show(asyncio.run(soak(options.minutes)))


if __name__ == "__main__":
    sys.exit(main())
