"""The simulated hospital as one object: for tests and for the demo.

    async with HospitalProcess(story="demo") as hospital:
        await hospital.act("mains_fail")
        await hospital.fault("lv-main", "silent", seconds=5)

Each command uses a connection of its own, so one hospital may serve several event loops one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hardware_mocks.control import CommandRefused, Message, ask
from hardware_mocks.layout import PLACES, PROTOCOLS, ProtocolName
from hardware_mocks.nets import free_net, give_back
from hardware_mocks.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from hardware_mocks.signals import Points, Value

START_S = 20.0
STOP_S = 4.0

__all__ = ["CommandRefused", "HospitalNotReady", "HospitalProcess"]


class HospitalNotReady(Exception):
    """The servers did not come up; the text ends with what they said."""


class HospitalProcess:
    """Owns the processes. `net` is a free loopback /24 unless given; `log` the ground truth, in a folder of its own
    unless given; `protocols` what to start. The processes end with this one, whatever ends it.
    """

    def __init__(
        self,
        net: str | None = None,
        *,
        seed: int = 1,
        log: Path | None = None,
        story: str = "quiet",
        protocols: Iterable[ProtocolName] = PROTOCOLS,
    ) -> None:
        self._net = net
        self._seed = seed
        self._log = log
        self._story = story
        self._protocols = tuple(protocols)
        self._settings: Settings | None = None
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.stop()

    @property
    def settings(self) -> Settings:
        assert self._settings is not None, "not started"
        return self._settings

    @property
    def net(self) -> str:
        return self.settings.net

    @property
    def log(self) -> Path:
        """The ground truth file."""
        assert self.settings.log is not None
        return self.settings.log

    @property
    def pid(self) -> int:
        """The supervisor, which leads a process group of its own."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def certificate(self) -> bytes:
        """That of the OPC UA server, DER."""
        assert self.settings.pki is not None
        return (self.settings.pki / "server.der").read_bytes()

    def trust(self, certificate: bytes) -> None:
        """Have the OPC UA server trust a client from now on."""
        assert self.settings.pki is not None
        trusted = self.settings.pki / "trusted"
        trusted.mkdir(exist_ok=True)
        (trusted / f"{len(list(trusted.iterdir()))}.der").write_bytes(certificate)

    def address(self, device: str) -> tuple[str, int]:
        """Host and port of a device."""
        return PLACES[device].address(self.net)

    async def start(self) -> None:
        """Start everything and wait until every server listens. Raises `HospitalNotReady`."""
        self._folder = Path(tempfile.mkdtemp(prefix="hospital-"))
        self._settings = Settings(
            net=self._net or free_net(),
            control=self._folder / "control",
            seed=self._seed,
            log=self._log or self._folder / "truth.jsonl",
            story=self._story,
            origin=time.monotonic(),
            lifeline=True,
            protocols=self._protocols,
            pki=self._folder / "pki",
        )
        try:
            self._process = self._spawn(self._folder / "errors")
            await asyncio.wait_for(asyncio.to_thread(self._wait_ready), START_S)
        except BaseException:
            await self.stop()
            raise

    def _spawn(self, errors: Path) -> subprocess.Popen[bytes]:
        """In a session of its own: Ctrl-C in the terminal reaches the caller only, who stops the hospital in order."""
        with errors.open("wb") as stderr:
            return subprocess.Popen(
                [sys.executable, "-m", "hardware_mocks", *self.settings.arguments()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    def _wait_ready(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise HospitalNotReady(f"the simulated hospital did not start: {self.errors()}")

    def errors(self) -> str:
        """What the processes wrote to standard error."""
        assert self._folder is not None
        return (self._folder / "errors").read_text(errors="replace").strip()

    async def stop(self) -> None:
        """End every process and tidy up. May be called twice."""
        if self._process is not None:
            await asyncio.shield(asyncio.to_thread(self._end, self._process))
            self._process = None
        if self._settings is not None and self._net is None:
            give_back(self._settings.net)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Closing standard input is the order to stop; whoever is left in the group after `STOP_S` is killed."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()

    async def ask(self, message: Message) -> Message:
        """Any command of the control socket. Raises `CommandRefused`."""
        return await ask(self.settings.control, message)

    async def act(self, action: str, **details: Any) -> None:
        """Let something happen to the hospital, such as `mains_fail` or `fire` with `zone=5`."""
        await self.ask({"do": "act", "action": action, **details})

    async def play(self, story: str) -> None:
        """Begin a story now."""
        await self.ask({"do": "play", "story": story})

    async def fault(self, device: str, fault: str, seconds: float | None = None) -> None:
        """Give a device a fault, for `seconds` or until `none`. Returns when the fault is in force."""
        await self.ask({"do": "fault", "device": device, "fault": fault, "seconds": seconds})

    async def set(self, device: str, point: str, value: Value | None) -> None:
        """Pin a value; `None` is a failed sensor."""
        await self.ask({"do": "set", "device": device, "point": point, "value": value})

    async def release(self, device: str, point: str | None = None) -> None:
        """Give a pinned point, or all of them, back to the physics."""
        await self.ask({"do": "release", "device": device, "point": point})

    async def values(self, device: str) -> Points:
        """What the device would serve now, in engineering units."""
        reply = await self.ask({"do": "values", "device": device})
        values: Points = reply["values"]
        return values

    async def truth(self) -> list[dict[str, Any]]:
        """The ground truth so far, every line of it."""
        await self.ask({"do": "flush"})
        return [json.loads(line) for line in self.log.read_text().splitlines()]
