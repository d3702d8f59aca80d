"""How fast a backlog goes to a broker: a filled journal, the real uplink, mosquitto; until the last PUBACK.

.venv/bin/python bench/drain.py      prints medians of three rounds
"""

from __future__ import annotations

import asyncio
import random
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import uvloop
from journal import VALUES, batch

from agent.audit import Trail
from agent.clock import SystemClock
from agent.envelope import Origin
from agent.uplink.uplink import Release, Uplink
from buffer.journal import Journal
from buffer.retention import Limits
from config import model

HOST = "127.61.8.1"
RECORDS = 4_000
ROUNDS = 3


async def drain(folder: Path) -> tuple[float, float]:
    """Values per second from the start to the last PUBACK, and the CPU seconds per million values that it took."""
    clock = SystemClock()
    journal = await Journal.open(folder, Limits(2**30, 3600.0), wall=clock.wall, cursors=["platform"])
    source = random.Random(1)
    await journal.append([batch(number, source) for number in range(RECORDS)])
    settings = model.Uplink(
        "platform", (model.Broker(HOST, 1883, tls=False),), "5", "bench", None, None, 15, 32, float(RECORDS * 100)
    )
    uplink = Uplink(
        settings,
        Origin("bench", "gw-b"),
        journal,
        clock,
        Release("bench", "c-0"),
        clock.state,
        Trail(journal, clock),
        list,
    )
    stop = asyncio.Event()
    begin, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(uplink.run(stop))
    while sum(uplink.view().waiting.values()):
        await asyncio.sleep(0.01)
    took_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    stop.set()
    await task
    await journal.close()
    return RECORDS * VALUES / took_s, cpu_s / (RECORDS * VALUES) * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "broker.conf"
        config.write_text(f"listener 1883 {HOST}\nallow_anonymous true\n", encoding="utf-8")
        broker = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            while socket.socket().connect_ex((HOST, 1883)):
                time.sleep(0.05)
            rounds = []
            for number in range(ROUNDS):
                folder = Path(scratch) / f"journal-{number}"
                folder.mkdir()
                rounds.append(uvloop.run(drain(folder)))
        finally:
            broker.terminate()
            broker.wait()
    rate, cpu_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"drain    {rate:12,.0f} values/s  ({VALUES} values a record; until the last PUBACK)")
    print(f"         {cpu_s:12.2f} CPU s per million values")


if __name__ == "__main__":
    main()
