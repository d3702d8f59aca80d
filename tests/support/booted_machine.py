"""A small Debian with a real systemd, booted in a container of its own, and ordered about from outside.

What is written to its disk is gone with it, unless it is given a disk of its own. Its network is its own loopback. What
a container does not enforce here (memory, addresses, devices: they need a control group of the host) is not what it is
for.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "build" / "systemd-root"
BUNDLES = ROOT / "build" / "bundle"
SHARED = "/shared"
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STEP_S_MAX = 240.0
"""An installation, on a slow machine."""

UNTIL_S_MAX = 120.0


class CommandFailed(AssertionError):
    """What it said is in the text."""


class Machine:
    """One that is up. `shared` is the folder that it sees as /shared."""

    def __init__(self, leader: int, shared: Path) -> None:
        self._leader = leader
        self._enter = ["nsenter", f"--target={leader}", "--all", "--", "env", "-i", f"PATH={PATHS}", "LANG=C.UTF-8"]
        self.shared = shared

    def run(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        """What it said on its standard output. Raises `CommandFailed` for any other exit code than these."""
        done = subprocess.run([*self._enter, *command], capture_output=True, text=True, timeout=STEP_S_MAX, check=False)
        if done.returncode not in codes:
            raise CommandFailed(f"{command} gave {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def sh(self, script: str, codes: tuple[int, ...] = (0,)) -> str:
        return self.run("sh", "-euc", script, codes=codes)

    def write(self, path: str, text: str) -> None:
        """A file, with the folders that it needs."""
        staged = self.shared / "staged"
        staged.write_text(text, encoding="utf-8")
        self.run("install", "-D", "-m", "0644", f"{SHARED}/staged", path)

    def start(self, unit: str, *command: str) -> None:
        """A program of the test, as a service of its own."""
        self.run("systemd-run", "--quiet", "--collect", f"--unit={unit}", "--property=Restart=no", *command)

    def cut_power(self) -> None:
        """Whatever runs is gone at once."""
        os.kill(self._leader, signal.SIGKILL)

    def about(self, name: str, unit: str = "wardgate") -> str:
        """A property of a unit, as systemd gives it."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def log(self, unit: str = "wardgate") -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def until(self, condition: Callable[[], bool], s_max: float = UNTIL_S_MAX) -> None:
        """Raises `TimeoutError` with the service's last words."""
        end = time.monotonic() + s_max
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(self.run("systemctl", "status", "--no-pager", "wardgate", codes=(0, 3)))
            time.sleep(0.2)


@contextmanager
def booted(shared: Path, disk: Path | None = None) -> Iterator[Machine]:
    """Boot one, and end it; `shared` is kept, and so is `disk`, a copy of `DEBIAN`."""
    console = shared / "console.log"
    where = [f"--directory={disk}"] if disk else [f"--directory={DEBIAN}", "--volatile=overlay"]
    command = ["systemd-nspawn", "--quiet", *where, "--boot", "--register=no"]
    command += ["--keep-unit", "--private-network", "--console=pipe", f"--bind={shared}:{SHARED}"]
    with console.open("wb") as said:
        container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield _when_up(container, shared)
    finally:
        container.terminate()  # nspawn asks the machine to power off
        try:
            container.wait(30)
        except subprocess.TimeoutExpired:
            container.kill()
            container.wait()


def _when_up(container: subprocess.Popen[bytes], shared: Path) -> Machine:
    end = time.monotonic() + UNTIL_S_MAX
    while time.monotonic() < end:
        assert container.poll() is None, (shared / "console.log").read_text(errors="replace")
        if leader := _first_child(container.pid):
            machine = Machine(leader, shared)
            try:
                if machine.run("systemctl", "is-system-running", codes=(0, 1)).strip() in {"running", "degraded"}:
                    return machine
            except CommandFailed:
                pass  # not that far yet
        time.sleep(0.2)
    raise TimeoutError((shared / "console.log").read_text(errors="replace"))


def _first_child(process: int) -> int | None:
    threads = Path(f"/proc/{process}/task").iterdir()
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    return int(children[0]) if children else None


def bundle() -> Path:
    """The folder that `make bundle` has made."""
    (made,) = (path for path in BUNDLES.iterdir() if path.is_dir())
    return made


def changed_bundle(to: Path, version: str, files: Mapping[str, tuple[str, str]]) -> Path:
    """The same with another version, in whose files (of the wheel) one text stands for another."""
    shutil.copytree(bundle(), to)
    (old,) = (to / "wheels").glob("wardgate-*.whl")
    before = old.name.split("-")[1]
    new = old.with_name(old.name.replace(before, version))
    edits = {**files, "agent/__init__.py": (f'"{before}"', f'"{version}"')}
    with ZipFile(old) as source, ZipFile(new, "w") as target:
        for entry in source.infolist():
            name = entry.filename.replace(f"wardgate-{before}", f"wardgate-{version}")
            text = source.read(entry)
            if name.endswith("/RECORD"):
                text = b""  # pip does without
            if name.endswith("/METADATA"):
                text = text.replace(f"\nVersion: {before}\n".encode(), f"\nVersion: {version}\n".encode())
            if name in edits:
                out, into = (part.encode() for part in edits.pop(name))
                assert text.count(out) == 1, name
                text = text.replace(out, into)
            target.writestr(name, text)
    assert not edits, edits
    old.unlink()
    lock = to / "requirements.lock"
    lines = [line for line in lock.read_text().splitlines() if not line.startswith("wardgate==")]
    digest = sha256(new.read_bytes()).hexdigest()
    lock.write_text("\n".join([*lines, f"wardgate=={version} --hash=sha256:{digest}", ""]))
    return to
