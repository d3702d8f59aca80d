"""The demo's stage: a free network, a folder, and three children on it: broker, simulated hospital, gateway.

Whatever ends the demo ends them: in order where it can, by the kernel where it cannot. Nothing is left behind.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hardware_mocks.client import HospitalNotReady, HospitalProcess
from hardware_mocks.nets import free_net, give_back

from agent.cli import broker
from agent.cli.options import client
from agent.control.client import ControlError, DaemonUnreachable
from config.document import Document

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from agent.control.client import Client

EXAMPLE_NET = "127.77.0"
BROKER_HOST = 2
READY_S = 20.0
STOP_S = 10.0
KILLED_S = 2.0
PROBE_S = 0.05
LAST_LINES = 12


class ChildDied(ControlError):
    """A child ended by itself, or never got ready; the sentence holds its last words."""


class Child:
    """One process with its log in a file. In a session of its own, so Ctrl-C reaches the demo only, which stops all
    children in order.
    """

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._process: Process | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def has_died(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_bound_to_us(),
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def stop(self, stop_s: float = STOP_S) -> None:
        """End it, politely first. May be called twice."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(stop_s):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def until(self, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait for it. Raises `ChildDied`."""
        deadline = time.monotonic() + READY_S
        while not await is_ready():
            if self.has_died:
                raise self.died()
            if time.monotonic() > deadline:
                raise ChildDied(f"the demo's {self.name} was not ready within {READY_S:.0f} s", self._last_lines())
            await asyncio.sleep(PROBE_S)

    def died(self) -> ChildDied:
        code = self._process.returncode if self._process else None
        return ChildDied(f"the demo's {self.name} ended by itself (exit code {code})", self._last_lines())

    def _last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "its last lines:\n" + "\n".join(f"  {line}" for line in lines[-LAST_LINES:])


class Stage:
    """Raises `ChildDied` on entering when a child does not come up; then everything is ended already."""

    def __init__(self, seed: int) -> None:
        self.net = free_net()
        self.folder = Path(tempfile.mkdtemp(prefix="wardgate-demo-"))
        self.config = self.folder / "config"
        self.hospital = HospitalProcess(self.net, seed=seed, log=self.folder / "truth.jsonl")
        self.broker: Child
        self.broker_name = ""
        self.broker_host = f"{self.net}.{BROKER_HOST}"
        run = [sys.executable, "-m", "agent", "run", "--config", str(self.config)]
        self.gateway = Child("gateway", run, self.folder / "gateway.log")
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Everything but the gateway, which waits until somebody listens to the broker."""
        self._exits.callback(give_back, self.net)
        self._exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._copy_examples()
            await self._start_broker()
            self._exits.push_async_callback(self.hospital.stop)
            await self._start_hospital()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def _copy_examples(self) -> None:
        """The shipped examples, moved to our network."""
        for name, text in _texts(Path(str(files("config") / "examples"))):
            file = self.config / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace(EXAMPLE_NET, self.net), encoding="utf-8")
        gateway = Document("gateway.yaml", (self.config / "gateway.yaml").read_bytes()).data
        (self.config / gateway["journal"]["path"]).mkdir()

    async def _start_broker(self) -> None:
        chosen = broker.prepare(self.folder / "broker", self.broker_host)
        self.broker_name = chosen.name
        self.broker = Child("broker", chosen.command, self.folder / "broker.log")
        self._exits.push_async_callback(self.broker.stop, KILLED_S)
        await self.push_broker()

    async def push_broker(self) -> None:
        """Start the broker and wait until it takes connections. Raises `ChildDied`."""
        await self.broker.start()
        await self.broker.until(self._broker_answers)

    async def _broker_answers(self) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(self.broker_host, broker.PORT)
            writer.close()
            await writer.wait_closed()
            return True
        return False

    async def _start_hospital(self) -> None:
        try:
            await self.hospital.start()
        except (HospitalNotReady, TimeoutError) as error:
            raise ChildDied("the demo's hospital did not come up", str(error)) from error

    async def start_gateway(self) -> Client:
        """Start the gateway and wait until it answers. Raises `ChildDied`."""
        self._exits.push_async_callback(self.gateway.stop)
        await self.gateway.start()
        desk = client(self.config, None)
        await self.gateway.until(lambda: _answers(desk))
        return desk

    async def tell_hospital(self, order: Awaitable[None]) -> None:
        """Wait for a command to the hospital. Raises `ChildDied` where it is there no more."""
        try:
            await order
        except OSError as error:
            raise ChildDied("the demo's hospital ended by itself", self.hospital.errors()) from error

    def check(self) -> None:
        """Raises `ChildDied` if a child has ended by itself; a broker that was pulled has not."""
        for child in (self.broker, self.gateway):
            if child.has_died:
                raise child.died()
        if not _is_alive(self.hospital.pid):
            raise ChildDied("the demo's hospital ended by itself", self.hospital.errors())


async def _answers(desk: Client) -> bool:
    try:
        await asyncio.to_thread(desk.status)
    except DaemonUnreachable:
        return False
    return True


def _texts(folder: Path) -> list[tuple[Path, str]]:
    return [(file.relative_to(folder), file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("*.yaml"))]


def _bound_to_us() -> list[str]:
    """The kernel ends the child when we are killed ourselves and cannot."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal.Signals(signal.SIGTERM).name.removeprefix("SIG"), "--"] if setpriv else []


def _is_alive(pid: int) -> bool:
    """Also false for a child that nobody has waited for yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
