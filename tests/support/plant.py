"""The processes of an acceptance run, each a real one: gateway, load, broker; and the link that a test may disturb.

The gateway is started as `wardgate run` starts, on a configuration folder of its own. Nothing here looks into it but
through its files, its log and its control socket.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import msgspec
from accounting import PointKey, Served
from hardware_mocks.nets import free_net, give_back
from mqtt_peer import Mosquitto, until
from responder import REGISTERS, register_values

from agent.cli.stage import introduce
from agent.control.client import Client, ControlError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from hardware_mocks.client import HospitalProcess

    from agent.status import DeviceView, PointView, ReloadView, Status

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "config" / "examples"
EXAMPLE_NET = "127.77.0"
EXAMPLE_BROKER = "mqtt://127.77.0.2:1883"
UPLINK = "platform"
WINDOW_S = 0.05
"""The telemetry window of the gateways under load: what a kill may cost."""

PATIENCE_S = 20.0
"""How long gateways under load wait for an answer: what a busy machine serves late is read all the same."""

READY_S = 120.0
STOP_S = 60.0

Tree = dict[str, Any]
"""A piece of configuration, as YAML would hold it."""


class Gateway:
    """One daemon on one folder; it may be started again and again. Its log is all that it ever said."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.log = folder / "gateway.log"
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._client = Client(folder / "control.sock")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def start(self) -> None:
        command = [sys.executable, "-m", "agent", "run", "--config", str(self.folder)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment, cwd=ROOT)

    async def ready(self) -> None:
        """Started, and answers an operator."""
        self.start()
        await until(self.answers, READY_S)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            self.status()
        except ControlError:
            return False
        return True

    def status(self) -> Status:
        return self._client.status()

    def device(self, device: str) -> DeviceView:
        (found,) = [view for view in self.status().devices if view.id == device]
        return found

    def waiting(self) -> int:
        """Records that the broker has not acknowledged yet."""
        return sum(self.status().uplinks[0].waiting.values())

    def points(self, device: str) -> list[PointView]:
        return self._client.points(device)

    async def drained(self) -> None:
        """Until the field is silent, and the broker has everything."""
        await until(lambda: all(view.failures for view in self.status().devices), READY_S)
        await until(lambda: self.waiting() == 0, READY_S)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; gives the exit code and how many seconds it took."""
        assert self._process is not None
        begin = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        # In a thread: a link to the broker is carried by this event loop.
        code = await asyncio.to_thread(self._process.wait, STOP_S)
        return code, time.monotonic() - begin

    def said(self, event: str) -> list[dict[str, Any]]:
        """Lines of the log with this message."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    # The gateway's own account, from its journal, while it is not running.

    def lanes(self) -> dict[tuple[str, str], int]:
        """The last sequence of each epoch and stream: a disk that stood still for long has begun another epoch."""
        rows = self._ask_journal("SELECT name, stream, next_seq - 1 FROM lane JOIN epoch ON epoch.id = lane.epoch")
        return {(epoch, stream): last for epoch, stream, last in rows}

    def unacknowledged(self) -> int:
        """How many records still wait for their PUBACK."""
        rows = self._ask_journal("SELECT next_seq - 1, low, spans FROM lane JOIN cursor ON lane.id = cursor.lane")
        return sum(last - low - _covered(spans) for last, low, spans in rows)

    def cursors(self) -> set[str]:
        """The uplinks that it keeps an account for."""
        return {name for (name,) in self._ask_journal("SELECT DISTINCT name FROM cursor")}

    def _ask_journal(self, question: str) -> list[tuple[Any, ...]]:
        """Of a copy: looking must not change what a killed gateway left."""
        assert self._process is not None
        assert self._process.poll() is not None, "it is running"
        with TemporaryDirectory() as copy:
            for file in (self.folder / "journal").glob("journal.db*"):
                shutil.copy(file, copy)
            with closing(sqlite3.connect(Path(copy) / "journal.db")) as database:
                return database.execute(question).fetchall()


def _covered(spans: bytes) -> int:
    return sum(last - first + 1 for first, last in msgspec.msgpack.decode(spans, type=list[tuple[int, int]]))


def run_to_its_end(folder: Path) -> subprocess.CompletedProcess[str]:
    """A gateway that is expected to end by itself, soon."""
    command = [sys.executable, "-m", "agent", "run", "--config", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=READY_S, check=False, cwd=ROOT)


class Broker(Mosquitto):
    """A mosquitto that keeps what it took over when it is stopped in order."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        folder.mkdir(exist_ok=True)
        kept = ("persistence true", f"persistence_location {folder}/", "max_queued_messages 0")
        super().__init__(folder, *kept, *lines, port=port)

    def leave(self) -> None:
        """Stop it in order; `start` brings it back on the same port."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(STOP_S)
        self._process = None


@asynccontextmanager
async def broker(folder: Path, *lines: str, port: int | None = None) -> AsyncIterator[Broker]:
    """Up, until the block ends."""
    server = Broker(folder / "broker", *lines, port=port)
    await server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Link:
    """A TCP link between gateway and broker. Answers take `lag_s` longer; while it swallows, what the gateway sends is
    lost on its way, and neither side notices.
    """

    broker_port: int
    lag_s: float = 0.0
    swallows: bool = False
    swallowed: bytearray = field(default_factory=bytearray)
    port: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            answers, onward = await asyncio.open_connection(HOST, self.broker_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.append(onward)
        await asyncio.gather(self._send(reader, onward), self._answer(answers, writer), return_exceptions=True)

    async def _send(self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            if self.swallows:
                self.swallowed += chunk
            elif not onward.is_closing():
                onward.write(chunk)
        onward.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while chunk := await reader.read(65536):
            loop.call_later(self.lag_s, _write, writer, chunk)
        loop.call_later(self.lag_s, writer.close)


def _write(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    if not writer.is_closing():
        writer.write(chunk)


class Load:
    """Devices with 100 registers each that all change every `interval_s`; `end` gives everything that was served."""

    def __init__(self, net: str, log: Path, devices: int, interval_s: float) -> None:
        self.devices = devices
        self.interval_s = interval_s
        self._log = log
        command = [sys.executable, str(ROOT / "bench" / "responder.py"), "--net", net, "--log", str(log)]
        command += ["--devices", str(devices), "--interval", str(interval_s)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def wait_ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the load did not start"

    def end(self) -> dict[PointKey, list[Served]]:
        """Stop serving; what was served, by device and point, in order."""
        self._process.terminate()
        self._process.wait(STOP_S)
        served: dict[PointKey, list[Served]] = {
            (f"m{device}", f"r{register}"): [] for device in range(1, self.devices + 1) for register in range(REGISTERS)
        }
        for device, counter, at in json.loads(self._log.read_text())["served"]:
            for register, value in enumerate(register_values(counter, REGISTERS)):
                served[f"m{device}", f"r{register}"].append(Served(at, value))
        return served

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def reaching(self, at: float) -> tuple[int, int]:
        """A register and the value that it will have at `at` (seconds since the epoch); it rises until long after."""
        values = register_values(int(at / self.interval_s), REGISTERS)
        return next((register, value) for register, value in enumerate(values) if 1_000 < value < 50_000)


@contextmanager
def load(folder: Path, *, devices: int = 10, interval_s: float = 0.25) -> Iterator[tuple[Load, str]]:
    """The load and the network that it is on, until the block ends."""
    net = free_net()
    running = Load(net, folder / "served.json", devices, interval_s)
    try:
        running.wait_ready()
        yield running, net
    finally:
        running.close()
        give_back(net)


def show(figure: str) -> None:
    """A figure that a run is about; `pytest -rP` shows those of tests that pass."""
    print(figure)  # noqa: T201  # on purpose, see above


def write(file: Path, content: Tree) -> None:
    """YAML, of which JSON is a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def edit(file: Path, change: Tree) -> None:
    """Merge into a file of the configuration; None takes a part away."""

    def merged(old: Tree, new: Tree) -> Tree:
        found = {**old, **{k: merged(old.get(k, {}), v) if isinstance(v, dict) else v for k, v in new.items()}}
        return {key: value for key, value in found.items() if value is not None}

    file.write_text(json.dumps(merged(json.loads(file.read_text()), change)))


async def reloaded(client: Client, reason: str = "") -> ReloadView:
    """In a thread: the load and the broker are carried by this event loop."""
    return await asyncio.to_thread(client.reload, reason)


def uplink(port: int, **settings: Any) -> Tree:
    return {UPLINK: {"brokers": [f"mqtt://{HOST}:{port}"], **settings}}


LINE: Tree = {"protocol": "modbus", "port": 1502, "timeout": PATIENCE_S}


def configure_load(
    folder: Path, running: Load, net: str, uplinks: Tree, alarms: Mapping[str, Tree] | None = None
) -> None:
    """A gateway that reads all of the load and thins nothing. `alarms` by device."""
    gateway: Tree = {
        "site": "h01",
        "gateway": "gw-1",
        "control_socket": "./control.sock",
        "state": "./state",
        "journal": {"path": "./journal", "telemetry_window": WINDOW_S},
        "uplinks": uplinks,
    }
    (folder / "journal").mkdir()
    write(folder / "gateway.yaml", gateway)
    points = {f"r{n}": {"register": n, "poll": running.interval_s, "value": "integer"} for n in range(REGISTERS)}
    write(
        folder / "profiles" / "load.yaml",
        {"protocol": "modbus", "source": "unverified", "system": "energy", "points": points},
    )
    numbers = range(1, running.devices + 1)
    write(
        folder / "lines.yaml",
        {"lines": {f"l{n}": {**LINE, "host": f"{net}.{n}"} for n in numbers}},
    )
    devices: dict[str, Tree] = {
        f"m{n}": {"line": f"l{n}", "profile": "load", "alarms": (alarms or {}).get(f"m{n}", {})} for n in numbers
    }
    write(folder / "devices" / "load.yaml", {"devices": devices})


FAST = (
    ("L: 1s", "L: 1s"),
    ("C: 2s", "C: 1s"),
    ("N: 10s", "N: 1s"),
    ("N: 5s", "N: 1s"),
    ("S: 60s", "S: 1s"),
    ("E: 60s", "E: 1s"),
)
"""For `configure_hospital`: every poll class once a second."""


def configure_hospital(folder: Path, hospital: HospitalProcess, port: int, *replace: tuple[str, str]) -> None:
    """The commented example, for this hospital and with this broker. `replace` are changes of its text."""
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.json"))
    changes = ((EXAMPLE_BROKER, f"mqtt://{HOST}:{port}"), (EXAMPLE_NET, hospital.net), *replace)
    (folder / "journal").mkdir()
    missing = {old for old, _ in changes}
    for file in folder.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        for old, new in changes:
            missing -= {old} if old in text else set()
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")
    assert not missing, f"the example no longer says {missing}"
    introduce(folder, hospital)


@contextmanager
def folder() -> Iterator[Path]:
    """A configuration folder with a short path: that of a socket is limited."""
    with TemporaryDirectory(prefix="wg") as path:
        yield Path(path)
