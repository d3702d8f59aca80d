"""What a gateway takes of its machine: memory for 1,000 points on three protocols, time to start with 10,000, and how
many bytes a day it writes to its flash.

.venv/bin/python bench/bounds.py [--quick]      exit code 1 where a limit is missed
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import statistics
import sys
import time
from pathlib import Path

from figures import Figure, show
from gateway import Load, Site, rss_peak_mb, wait_for

from agent.cli.stage import stage

NET = "127.61.11"
HERE = Path(__file__).parent
BACNET_PORT, OPCUA_PORT = 47811, 4841
METERS, OTHERS = 4, 300
"""Four meters of 100 points, and 300 points each of BACnet and OPC UA."""

MEMORY_MB_MAX = 150.0
START_S_MAX = 3.0
STARTS = 3
WRITTEN_GB_MAX = 4.0
"""A day. A flash of 8 GB of which each cell bears 3,000 writings lasts for sixteen years, less what it adds itself."""

DAY_S = 86_400.0


def figures(*, quick: bool) -> list[Figure]:
    watched_s = 20.0 if quick else 120.0
    ready_s = [ready_with_many_points() for _ in range(1 if quick else STARTS)]
    return [
        Figure("1,000 points on three protocols: memory, most", memory_mb(watched_s), "MB", MEMORY_MB_MAX),
        Figure("10,000 points: start to ready", statistics.median(ready_s), "s", START_S_MAX),
        Figure("written to disk by the demo, a day", asyncio.run(written_gb(watched_s, "1s")), "GB", WRITTEN_GB_MAX),
        Figure("the same, telemetry_window 10s", asyncio.run(written_gb(watched_s, "10s")), "GB"),
    ]


# --- memory -----------------------------------------------------------------------------------------------------------


def memory_mb(watched_s: float) -> float:
    """The most that the gateway had in memory, everything read and delivered."""
    site = Site(Load(devices=METERS), NET)
    try:
        configure(site)
        site.start_broker()
        python = sys.executable
        net, log = ("--net", NET), ("--log", str(site.folder / "served.json"))
        site.start("responder", python, str(HERE / "responder.py"), *net, *log, "--devices", str(METERS))
        addresses = ("--bacnet", f"{NET}.110", "--opcua", f"{NET}.120")
        ports = ("--bacnet-port", str(BACNET_PORT), "--opcua-port", str(OPCUA_PORT), "--points", str(OTHERS))
        site.start("controllers", python, str(HERE / "controllers.py"), *addresses, *ports)
        wait_for("the controllers", lambda: "listening" in (site.folder / "controllers.log").read_text(), 30)
        pid = site.start("gateway", python, "-m", "agent", "run", "--config", str(site.folder))
        wait_for("an answer", lambda: ask(site.folder, "/readyz") == http.HTTPStatus.OK, 60)
        wanted = METERS * 100 + 2 * OTHERS
        wait_for("all points", lambda: sum(each["points_good"] for each in site.status()["devices"]) == wanted, 60)
        time.sleep(watched_s)
        return rss_peak_mb(pid)
    finally:
        site.close()


def configure(site: Site) -> None:
    """The meters of the other benchmarks, and beside them a controller and a server."""
    site.configure()
    with (site.folder / "lines.yaml").open("a", encoding="utf-8") as lines:
        lines.write(f"  bas: {{protocol: bacnet, bind: '{NET}.100/32:47911'}}\n")
        url = f"opc.tcp://{NET}.120:{OPCUA_PORT}/"
        lines.write(f"  plant: {{protocol: opcua, url: '{url}', publishing: 500ms, security: none}}\n")
    inputs = ", ".join(f"p{n}: {{object: 'analog-input,{n}', poll: C}}" for n in range(1, OTHERS + 1))
    nodes = ", ".join(f"p{n}: {{node: 'ns=2;s=n{n}', poll: C}}" for n in range(1, OTHERS + 1))
    at = f"{{instance: 1001, at: '{NET}.110:{BACNET_PORT}'}}"
    (site.folder / "devices" / "others.yaml").write_text(
        f"devices:\n  controller: {{line: bas, address: {at}, system: hvac.ahu, points: {{{inputs}}}}}\n"
        f"  plc: {{line: plant, system: or, points: {{{nodes}}}}}\n",
        encoding="utf-8",
    )


# --- start ------------------------------------------------------------------------------------------------------------


def ready_with_many_points() -> float:
    """Seconds from the start of the process until it says that it is ready; there is nobody on its 100 lines."""
    site = Site(Load(), NET)
    try:
        site.configure()
        begin = time.monotonic()
        site.start("gateway", sys.executable, "-m", "agent", "run", "--config", str(site.folder))
        wait_for("an answer", lambda: ask(site.folder, "/readyz") == http.HTTPStatus.OK, 60)
        return time.monotonic() - begin
    finally:
        site.close()


def ask(folder: Path, target: str) -> int | None:
    """The status code, or None where nobody answers."""
    connection = http.client.HTTPConnection("wardgate", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(str(folder / "control.sock"))
        connection.request("GET", target)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


# --- wear -------------------------------------------------------------------------------------------------------------


async def written_gb(watched_s: float, window: str) -> float:
    """What the gateway of the demo has the kernel write, a day, its hospital in ordinary operation."""
    async with stage(1, lambda _: None) as site:
        settings = site.config / "gateway.yaml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(text.replace("telemetry_window: 1s", f"telemetry_window: {window}"), encoding="utf-8")
        await site.start_gateway()
        await asyncio.sleep(10.0)
        before = written_bytes(site.gateway.pid)
        await asyncio.sleep(watched_s)
        site.check()
        return (written_bytes(site.gateway.pid) - before) / watched_s * DAY_S / 1e9


def written_bytes(pid: int) -> int:
    """Pages that were handed to the disk; what the file system adds for itself is not in it."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines())
    return int(counts["write_bytes"])


if __name__ == "__main__":
    sys.exit(show(figures(quick="--quick" in sys.argv)))
