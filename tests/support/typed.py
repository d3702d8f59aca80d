"""A command as a person types it: to its end, until Ctrl-C, or at a terminal that asks back."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

STEP_S_MAX = 300.0
"""Of one command, on a machine that is busy."""

PROGRAMS = Path(sys.executable).parent


class Said(NamedTuple):
    """Exit code, and everything that was printed, errors last."""

    code: int
    text: str


class Typist:
    """Types in a shell, in which `wardgate` and `python` are those of these tests."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        paths = os.pathsep.join((str(PROGRAMS), os.environ["PATH"], "/usr/sbin"))
        self._environment = {**os.environ, "COLUMNS": "250", **environment, "PATH": paths}

    def run(self, command: str, folder: Path) -> Said:
        done = subprocess.run(
            ["sh", "-euc", command],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_S_MAX,
            check=False,
        )
        return Said(done.returncode, done.stdout + done.stderr)

    def until(
        self, command: str, folder: Path, pattern: str, meanwhile: Callable[[subprocess.Popen[bytes], str], None]
    ) -> Said:
        """Until it has said this, and then Ctrl-C. `meanwhile` is called again and again."""
        output = folder / "output"
        with output.open("w") as written, self._running(command, folder, stdout=written, stderr=written) as process:
            end = time.monotonic() + STEP_S_MAX
            while not re.search(pattern, text := output.read_text(), re.MULTILINE):
                assert process.poll() is None, text
                assert time.monotonic() < end, text
                meanwhile(process, text)
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGINT)
            return Said(process.wait(STEP_S_MAX), output.read_text())

    def answer(self, command: str, folder: Path, answers: Sequence[tuple[str, str]]) -> Said:
        """At a terminal: once it has said the first of these texts, the answer beside it is typed, and so on."""
        ours, theirs = pty.openpty()
        try:
            with self._running(command, folder, stdin=theirs, stdout=theirs, stderr=theirs, terminal=True) as process:
                os.close(theirs)
                text = _converse(ours, answers)
                return Said(process.wait(STEP_S_MAX), text)
        finally:
            os.close(ours)

    @contextmanager
    def _running(
        self, command: str, folder: Path, *, terminal: bool = False, **streams: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            ["sh", "-euc", f"exec {command}"],
            cwd=folder,
            env=self._environment,
            start_new_session=True,
            preexec_fn=partial(_as_from_a_desk, terminal=terminal),  # noqa: PLW1509  # no threads here
            **streams,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _as_from_a_desk(*, terminal: bool) -> None:
    """A terminal of its own: nobody's real one is asked. Whoever starts tests in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _converse(terminal: int, answers: Sequence[tuple[str, str]]) -> str:
    said, heard, left = "", "", list(answers)
    end = time.monotonic() + STEP_S_MAX
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            chunk = os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            return said  # whoever was at the other end has gone
        said, heard = said + chunk, heard + chunk
        if left and left[0][0] in heard and heard.endswith(" "):  # only then does it listen
            os.write(terminal, f"{left.pop(0)[1]}\n".encode())
            heard = ""
    raise TimeoutError(said)
