"""How fast a backlog goes to a broker, and how fast an alarm gets through in the middle of it.

.venv/bin/python bench/drain.py      exit code 1 where a limit is missed or the accounts disagree

A filled journal, the real uplink, mosquitto; until the last PUBACK. The time of an alarm runs from its decision
(`append`) to an independent subscriber in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from figures import Figure, show
from journal import VALUES, batch
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from agent.audit import Trail
from agent.clock import SystemClock
from agent.envelope import Origin, draft
from agent.events import STREAM_BEGIN, Event, StreamBegin
from agent.uplink.uplink import Release, Uplink
from buffer.journal import Journal
from buffer.retention import Limits
from config import outward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paho.mqtt.client import MQTTMessage

    from buffer.record import Draft

HOST = "127.61.8.1"
RECORDS = 4_000
ROUNDS = 3
VALUES_PER_S_MIN = 300_000

ALARM_EVERY_S = 0.01
RECORDS_WITH_ALARMS = 60_000
ALARM_P99_MS_MAX = 200.0
ORIGIN = Origin("bench", "gw-b")
ALARM_TOPIC = "alarm/red/pwr-lv/d"


@dataclass(frozen=True, slots=True)
class Round:
    """Of one drain. `decided` is when each alarm was handed to the journal, by sequence; seconds since the epoch."""

    values_per_s: float
    cpu_s_per_million: float
    decided: dict[int, float]


async def drain(folder: Path, records: int, *, with_alarms: bool) -> Round:
    """From the start of the uplink to the last PUBACK."""
    clock = SystemClock()
    journal = await Journal.open(folder, Limits(2**32, 3600.0), wall=clock.wall, cursors=["platform"])
    source = random.Random(1)
    for begin in range(0, records, 1000):
        await journal.append([batch(number, source) for number in range(begin, begin + 1000)])
    uplink = _uplink(journal, clock, float(records * 100))
    stop = asyncio.Event()
    begin_s, cpu_s = time.perf_counter(), time.process_time()
    task = asyncio.create_task(uplink.run(stop))
    decided = await _raise_alarms(journal, uplink) if with_alarms else {}
    while sum(uplink.view().waiting.values()):
        await asyncio.sleep(0.01)
    took_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
    stop.set()
    await task
    await journal.close()
    return Round(records * VALUES / took_s, cpu_s / (records * VALUES) * 1e6, decided)


def _uplink(journal: Journal, clock: SystemClock, backlog_rate: float) -> Uplink:
    brokers = (outward.Broker(HOST, 1883, tls=False),)
    settings = outward.Uplink("platform", brokers, "5", "bench", None, None, 15, 32, backlog_rate)
    trail = Trail(journal, clock)
    return Uplink(settings, ORIGIN, journal, clock, Release("bench", "c-0"), clock.state, trail, list)


async def _raise_alarms(journal: Journal, uplink: Uplink) -> dict[int, float]:
    """One after the other for as long as there is a backlog."""
    decided: dict[int, float] = {}
    while uplink.view().waiting.get("telemetry", 0):
        decided[len(decided) + 1] = time.time()
        journal.append([_alarm()], {"alarm/x": b"y" * 100})
        await asyncio.sleep(ALARM_EVERY_S)
    return decided


def _alarm() -> Draft:
    """For journal, uplink and broker any small event in the stream of alarms is one."""
    body = StreamBegin(stream="critical", epoch="", prev_epoch=None, prev_last_seq=None, reason="x" * 1000)
    return replace(draft(Event(STREAM_BEGIN, "critical", time.time(), "x", body), "synced"), topic=ALARM_TOPIC)


def watch() -> None:
    """The subscriber: until its standard input ends; then prints when each alarm came, by sequence."""
    came: dict[str, float] = {}

    def on_message(_: Client, __: object, message: MQTTMessage) -> None:
        came.setdefault(str(int(json.loads(message.payload)["sequence"])), time.time())

    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-alarms")
    client.on_message = on_message
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect(HOST, 1883)
    client.subscribe(f"{ORIGIN.root}{ALARM_TOPIC}", qos=1)
    client.loop_start()
    sys.stdin.read()
    client.disconnect()
    client.loop_stop()
    print(json.dumps(came))


@contextmanager
def broker(scratch: Path) -> Iterator[None]:
    config = scratch / "broker.conf"
    config.write_text(f"listener 1883 {HOST}\nallow_anonymous true\n", encoding="utf-8")
    with subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            while socket.socket().connect_ex((HOST, 1883)):
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def rounds(scratch: Path) -> tuple[float, float]:
    """Medians: values per second, CPU seconds per million values."""
    made = []
    for number in range(ROUNDS):
        folder = scratch / f"journal-{number}"
        folder.mkdir()
        made.append(uvloop.run(drain(folder, RECORDS, with_alarms=False)))
    rate = statistics.median(each.values_per_s for each in made)
    return rate, statistics.median(each.cpu_s_per_million for each in made)


def alarms(scratch: Path) -> tuple[list[float], float]:
    """Milliseconds of each alarm, in order of size, and the rate of the drain around them."""
    folder = scratch / "journal-alarms"
    folder.mkdir()
    command = [sys.executable, __file__, "watch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ready\n"
        made = uvloop.run(drain(folder, RECORDS_WITH_ALARMS, with_alarms=True))
        told, _ = watcher.communicate()
    came = {int(sequence): at for sequence, at in json.loads(told).items()}
    assert came.keys() == made.decided.keys(), f"{len(made.decided)} alarms sent, {len(came)} arrived"
    return sorted((came[number] - at) * 1000 for number, at in made.decided.items()), made.values_per_s


def figures() -> list[Figure]:
    with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch)):
        rate, cpu_s = rounds(Path(scratch))
        took_ms, rate_around = alarms(Path(scratch))
    p99_ms = took_ms[int(len(took_ms) * 0.99)]
    return [
        Figure("drain to mosquitto, last PUBACK", rate, "values/s", VALUES_PER_S_MIN, at_least=True),
        Figure("the same, processor", cpu_s, "s per million values"),
        Figure(f"an alarm in the middle, p99 of {len(took_ms)}", p99_ms, "ms", ALARM_P99_MS_MAX),
        Figure("an alarm in the middle, median", statistics.median(took_ms), "ms"),
        Figure("the drain around them", rate_around, "values/s"),
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["watch"]:
        watch()
    else:
        sys.exit(show(figures()))
