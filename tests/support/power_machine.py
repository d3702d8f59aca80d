"""A virtual machine whose power can be cut, with a disk that then keeps no more than it has promised.

The guest is a kernel, the interpreter that runs this, and the journal, in an initial file system; the disk is an image
with ext4. The machine's writes to it are recorded in the order in which it made them, flushes between them. A real disk
may hold back whatever was written since the last flush, sector by sector, and loses some or all of that: so does this
one. The kernel's own cache is lost with the machine. A cut can be put behind any single write of the machine's life
(`Cut`), because it is known of each line that it said how much had been written by then. No root is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import power_guest

import buffer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

DISK_BYTES = 64 * 1024 * 1024
LOG_BYTES = 8 * 1024 * 1024 * 1024
"""Of a file with holes: only what is written takes space."""

MEMORY_MB = 512
SECTOR = 512
FLUSH = 1
DISCARD = 4

LEFT_OUT = shutil.ignore_patterns(
    "test", "tests", "site-packages", "dist-packages", "idlelib", "tkinter", "ensurepip", "lib2to3", "config-*",
    "turtledemo", "pydoc_data", "*.opt-*.pyc",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class System:
    """What a machine boots."""

    kernel: Path
    files: Path

    @property
    def command(self) -> list[str]:
        return ["-kernel", str(self.kernel), "-initrd", str(self.files)]


def build(boot: Path, folder: Path, changed: Sequence[tuple[str, str, str]] = ()) -> System:
    """Pack the guest. `boot` has Debian's kernel with its modules; `changed` are module, old and new text."""
    root = folder / "root"
    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(stdlib, inside(root, stdlib), ignore=LEFT_OUT)
    interpreter = Path(sys.executable).resolve()
    place(root, interpreter)
    site = root / "site"
    site.mkdir()
    for origin in [Path(buffer.__file__).parent, Path(power_guest.__file__), *packages()]:
        if origin.is_dir():
            shutil.copytree(origin, site / origin.name, ignore=LEFT_OUT)
        else:
            shutil.copy2(origin, site)
    for name, old, new in changed:
        text = (site / name).read_text()
        assert old in text
        (site / name).write_text(text.replace(old, new))
    for library in libraries([interpreter, *root.rglob("*.so*")]):
        place(root, library)
    for name in power_guest.MODULES:
        (module,) = boot.rglob(f"{name}.ko")
        place(root, module, root / "modules" / module.name)
    files = folder / "system.cpio"
    subprocess.run(f"find . | cpio -o -H newc --quiet > {files}", shell=True, cwd=root, check=True)
    shutil.rmtree(root)
    (kernel,) = boot.rglob("vmlinuz-*")
    return System(kernel, files)


def inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def place(root: Path, file: Path, to: Path | None = None) -> None:
    target = to or inside(root, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)


def packages() -> set[Path]:
    """Where the libraries lie that the guest imports."""
    program = "import sys, power_guest; print(*(getattr(m, '__file__', None) or '' for m in sys.modules.values()))"
    path = os.pathsep.join([str(Path(power_guest.__file__).parent), str(Path(buffer.__file__).parent.parent)])
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True).stdout
    site = Path(sysconfig.get_path("platlib"))
    return {site / Path(file).relative_to(site).parts[0] for file in said.split() if Path(file).is_relative_to(site)}


def libraries(files: Sequence[Path]) -> set[Path]:
    """Everything that these load, the loader itself included, under the names by which they ask for it."""
    said = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    return {Path(word) for word in said.split() if word.startswith("/") and not word.endswith(":")}


def format_disk(image: Path) -> None:
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", "-F", image], check=True)


class Machine:
    """One that runs. `cut` ends it as a power cut does."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        assert process.stdout is not None
        self._serial: IO[bytes] = process.stdout
        os.set_blocking(self._serial.fileno(), False)
        self._rest = b""
        self.said: list[list[Any]] = []
        self.written: list[int] = []
        """How long the record of writes was at most when each of these lines was said."""
        self.console = b""

    def wait_for(self, word: str, s_max: float) -> list[Any]:
        """What it said with this word. Raises `TimeoutError`, and `AssertionError` where the guest has failed."""
        until = time.monotonic() + s_max
        while True:
            for line in self.said:
                assert line[0] != "failed", line[1]
                if line[0] == word:
                    return line
            if time.monotonic() > until:
                raise TimeoutError(f"no {word!r} within {s_max} s; the console said: {self.console[-2000:]!r}")
            time.sleep(0.02)
            self._listen()

    def run_for(self, seconds: float) -> None:
        """The moment of the cut is the random part of this: nothing is waited for."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.01)
            self._listen()

    def cut(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listen()

    def _listen(self) -> None:
        while data := self._serial.read(65536):
            self.console += data
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.said += [json.loads(line) for line in lines if line.startswith(b'["')]
            self.written += [length(self._log)] * (len(self.said) - len(self.written))


@contextmanager
def boot(system: System, what: str, image: Path, log: Path) -> Iterator[Machine]:
    """Start a machine with this disk. What it writes goes to the image, and what it wrote when to the `log`."""
    log.unlink(missing_ok=True)
    with log.open("wb") as file:
        file.truncate(LOG_BYTES)
    disk = {
        "driver": "blklogwrites",
        "node-name": "disk",
        "file": {"driver": "file", "filename": str(image)},
        "log": {"driver": "file", "filename": str(log)},
        "log-sector-size": SECTOR,
    }
    arguments = f"console=ttyS0 quiet panic=-1 rdinit={Path(sys.executable).resolve()} -- -sSB"
    command = [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", str(MEMORY_MB), "-no-reboot",
        "-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none",
        "-blockdev", json.dumps(disk), "-device", "virtio-blk-pci,drive=disk",
        *system.command, "-append", f"{arguments} /site/power_guest.py {what} /dev/vda",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            yield Machine(process, log)
        finally:
            process.kill()


def length(log: Path) -> int:
    """Of what is in a file that is followed by a hole."""
    with log.open("rb") as file:
        return os.lseek(file.fileno(), 0, os.SEEK_HOLE)


def writes(log: Path) -> Iterator[tuple[int, int, bytes | None]]:
    """For each write, in order: where its entry ends in the log, place and content, which is None for a flush.

    The format is that of dm-log-writes.
    """
    with log.open("rb") as file:
        (sector_bytes,) = struct.unpack("<24xI", file.read(28))
        assert sector_bytes == SECTOR
        at = SECTOR
        while True:
            file.seek(at)
            sector, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
            if not (sector or sectors or flags):
                return
            assert not flags & ~(FLUSH | DISCARD), "the guest's driver knows no other kind of write"
            file.seek(at + SECTOR)
            size = 0 if flags & DISCARD else sectors * SECTOR
            at += SECTOR + size
            if flags & FLUSH:
                yield at, 0, None
            if size:
                yield at, sector * SECTOR, file.read(size)


@dataclass(frozen=True, slots=True)
class Cut:
    """What was lost: the log up to `end` is what the disk was told, `sectors` of it are gone."""

    end: int
    sectors: int


def cut_somewhere(image: Path, log: Path, begin: int, source: random.Random, share: float) -> Cut:
    """Write to the image what a disk has left when its power goes behind some write after `begin` in the log.

    Of the sectors written since the last flush it keeps that `share`. The image is as it was before the machine ran.
    """
    ends = [end for end, _, data in writes(log) if data is not None and end > begin]
    last = source.choice(ends) if ends else begin
    lost = 0
    with image.open("r+b") as file:
        cached: list[tuple[int, bytes]] = []
        for end, place, data in writes(log):
            if end > last:
                break
            if data is None:
                put(file, cached)
                cached.clear()
            else:
                cached += [(place + at, data[at : at + SECTOR]) for at in range(0, len(data), SECTOR)]
        kept = [each for each in cached if source.random() < share]
        put(file, kept)
        lost = len(cached) - len(kept)
    return Cut(last, lost)


def put(file: IO[bytes], sectors: Sequence[tuple[int, bytes]]) -> None:
    for place, data in sectors:
        file.seek(place)
        file.write(data)
