"""The reference consumer as a process of its own: `wardgate consume` with a file, started again and again."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

from accounting import Arrival
from mqtt_peer import HOST
from plant import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CLIENT_ID = "platform"
END_S = 60.0
"""It may be waiting for a broker that does not answer, and then has last words."""

BUSY_S = 60.0


class ConsumerProcess:
    """Its file, its log and its last report outlive it. `report` is what it said when it was stopped in order."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.file = folder / "platform.db"
        self.log = folder / "consumer.log"
        self.report: dict[str, Any] = {}
        self._told = folder / "report.json"
        self._port = port
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def start(self) -> None:
        command = [sys.executable, "-m", "agent", "consume", f"mqtt://{HOST}:{self._port}", "--json"]
        command += ["--sqlite", str(self.file), "--client-id", CLIENT_ID, *self._options]
        with self._told.open("wb") as told, self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=told, stderr=log, cwd=ROOT)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def stop(self) -> int:
        """SIGTERM; gives the exit code. `report` is then what it said last: nothing where it had hardly begun."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self._process.wait, END_S)
        told = self._told.read_text()
        self.report = json.loads(told) if told else {}
        return code

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def connections(self) -> int:
        """How often it was let in by the broker."""
        return self.log.read_text().count("connected to") if self.log.exists() else 0

    # What it has stored; may be asked while it runs.

    def stored(self) -> int:
        """How many events."""
        if not self.file.exists() or not self._ask("SELECT 1 FROM sqlite_master WHERE name = 'events'"):
            return 0
        return int(self._ask("SELECT count(*) FROM events")[0][0])

    def arrivals(self) -> list[Arrival]:
        """As `accounting` reads them, in the order in which they were stored; each once."""
        rows = self._ask("SELECT topic, event FROM events ORDER BY rowid")
        return [
            Arrival(order, 0.0, topic, retain=False, payload=event, event=json.loads(event))
            for order, (topic, event) in enumerate(rows)
        ]

    def unconfirmed(self) -> int:
        """How many records it has stored and, by its account, not confirmed yet; what came again it confirms again."""
        lanes = [json.loads(lane) for (lane,) in self._ask("SELECT value FROM account WHERE kind = 'lane'")]
        return sum(_count(lane["received"]) - _count(lane["confirmed"]) for lane in lanes)

    def has_farewell(self) -> bool:
        """Whether the gateway has said that it goes: nothing comes after that."""
        gateways = [json.loads(gateway) for (gateway,) in self._ask("SELECT value FROM account WHERE kind = 'gateway'")]
        return all(gateway["online"] is False for gateway in gateways)

    def standing(self) -> dict[str, str]:
        """The alarms that stand, by its account: alarm and occurrence."""
        return dict(self._ask("SELECT alarm_id, occurrence_id FROM alarms WHERE NOT ended AND NOT test"))

    def _ask(self, question: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file, timeout=BUSY_S)) as database:
            return database.execute(question).fetchall()


def _count(ranges: list[list[int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)
