"""Single keys from the terminal, without Enter and without echo; the terminal is put back whatever happens.

Ctrl-C stays a signal.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READ_BYTES = 64


@contextmanager
def keys(on_key: Callable[[str], None]) -> Iterator[None]:
    """Call `on_key` in the running loop for each key, until the block is left. Does nothing without a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()

    def read() -> None:
        typed = os.read(terminal, READ_BYTES)
        if not typed:
            # The terminal has gone; asking again would only spin.
            loop.remove_reader(terminal)
        elif not typed.startswith(b"\x1b"):
            for key in typed.decode(errors="ignore"):
                on_key(key)

    tty.setcbreak(terminal)
    loop.add_reader(terminal, read)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
