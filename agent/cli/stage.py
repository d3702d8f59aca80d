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
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from hardware_mocks.client import HospitalNotReady, HospitalProcess
from hardware_mocks.nets import free_net, give_back

from agent.cli import broker
from agent.cli.options import client, gateway_home
from agent.control.client import ControlError, DaemonUnreachable
from config.document import Document
from drivers.opcua import identity
from drivers.opcua.trust import TrustList

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agent.cli.broker import Broker
    from agent.control.client import Client

EXAMPLE_NET = "127.77.0"
BROKER_HOST = 2
PAGE_HOST, PAGE_PORT = 3, 8080
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
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        assert self._process is not None, "not started"
        return self._process.pid

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


@asynccontextmanager
async def stage(seed: int, tell: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Everything but the gateway, which waits until somebody listens to the broker. Raises `ChildDied`."""
    async with AsyncExitStack() as ends:
        net = free_net()
        ends.callback(give_back, net)
        folder = Path(tempfile.mkdtemp(prefix="wardgate-demo-"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        tell(f"setting up a simulated hospital on {net}.0/24, files in {folder}")
        chosen = broker.prepare(folder / "broker", f"{net}.{BROKER_HOST}")
        set_up = Stage(net, folder, chosen, seed)
        ends.push_async_callback(set_up.broker.stop, KILLED_S)
        ends.push_async_callback(set_up.hospital.stop)
        ends.push_async_callback(set_up.gateway.stop)
        _copy_examples(net, set_up.config)
        await set_up.push_broker()
        await set_up.start_hospital()
        introduce(set_up.config, set_up.hospital)
        tell(f"{chosen.name} and the devices answer; starting the gateway")
        yield set_up


class Stage:
    """The three children. `stage` makes it and ends them."""

    def __init__(self, net: str, folder: Path, chosen: Broker, seed: int) -> None:
        self.config = folder / "config"
        self.broker_host = chosen.host
        self.page = f"http://{net}.{PAGE_HOST}:{PAGE_PORT}"
        self.broker = Child("broker", chosen.command, folder / "broker.log")
        self.hospital = HospitalProcess(net, seed=seed, log=folder / "truth.jsonl")
        run = [sys.executable, "-m", "agent", "run", "--config", str(self.config)]
        self.gateway = Child("gateway", run, folder / "gateway.log")

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

    async def start_hospital(self) -> None:
        """Start all devices and wait until they answer. Raises `ChildDied`."""
        try:
            await self.hospital.start()
        except (HospitalNotReady, TimeoutError) as error:
            raise ChildDied("the demo's hospital did not come up", str(error)) from error

    async def start_gateway(self) -> Client:
        """Start the gateway and wait until it answers. Raises `ChildDied`."""
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


def _copy_examples(net: str, config: Path) -> None:
    """The shipped examples, moved to our network, with their page open, and the journal folder that they name."""
    examples = Path(str(files("config") / "examples"))
    for example in sorted(examples.rglob("*.yaml")):
        file = config / example.relative_to(examples)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(example.read_text(encoding="utf-8").replace(EXAMPLE_NET, net), encoding="utf-8")
    file = config / "gateway.yaml"
    page = f'\n# For whoever is on this machine, to look.\nhttp: {{listen: "{net}.{PAGE_HOST}:{PAGE_PORT}"}}\n'
    file.write_text(file.read_text(encoding="utf-8") + page, encoding="utf-8")
    gateway = Document("gateway.yaml", file.read_bytes()).data
    (config / gateway["journal"]["path"]).mkdir()


def introduce(config: Path, hospital: HospitalProcess) -> None:
    """What a technician does once for each OPC UA server: has it trust the gateway, and the gateway trust it."""
    gateway, state = gateway_home(config)
    hospital.trust(identity.own(identity.folder(state), gateway, time.time()).der)
    TrustList(state).add(identity.parse(hospital.certificate, "the simulated operating room"))


async def _answers(desk: Client) -> bool:
    try:
        await asyncio.to_thread(desk.status)
    except DaemonUnreachable:
        return False
    return True


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
