"""Small networks of their own: namespaces of Linux, joined by cables, in which a test opens its sockets.

A socket stays in the namespace in which it was made. So a test enters one, opens what belongs there, and comes back;
everything then runs in its one event loop. Needs root; a name is used once, so that runs at the same time do not meet.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET = 0x4000_0000
_LIBC = ctypes.CDLL(None, use_errno=True)
_NAMES = Path("/run/netns")


class Networks:
    """Namespaces of one test, by short names of its own."""

    def __init__(self) -> None:
        self._prefix = f"wg{secrets.token_hex(3)}"
        self._made: list[str] = []

    def add(self, name: str) -> None:
        """A namespace with nothing but loopback."""
        _run("ip", "netns", "add", self._real(name))
        self._made.append(name)
        _run("ip", "-n", self._real(name), "link", "set", "lo", "up")

    def join(self, *ends: tuple[str, str, str]) -> None:
        """A cable between two namespaces; an end is namespace, name of the interface and `ADDRESS/PREFIX`."""
        (first, one, _), (second, other, _) = ends
        peer = ["peer", "name", other, "netns", self._real(second)]
        _run("ip", "-n", self._real(first), "link", "add", one, "type", "veth", *peer)
        for name, interface, address in ends:
            self.address(name, interface, address)
            self.ip(name, "link", "set", interface, "up")

    def address(self, name: str, interface: str, address: str) -> None:
        """One address more."""
        self.ip(name, "addr", "add", address, "brd", "+", "dev", interface)

    def ip(self, name: str, *words: str) -> None:
        _run("ip", "-n", self._real(name), *words)

    def forward(self, name: str) -> None:
        """Make it an IP router; skips the test where that is not allowed."""
        with self.inside(name):
            try:
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
            except OSError as error:
                pytest.skip(f"no IP router here: {error.strerror}")

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """What is opened in this block belongs to that namespace."""
        with Path("/proc/thread-self/ns/net").open("rb") as home:
            with (_NAMES / self._real(name)).open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def remove(self) -> None:
        for name in self._made:
            _run("ip", "netns", "del", self._real(name))

    def _real(self, name: str) -> str:
        return f"{self._prefix}-{name}"


@contextmanager
def networks() -> Iterator[Networks]:
    """Networks for one test; skips it where this machine cannot have them."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root can make networks of its own, with the ip command")
    made = Networks()
    with ExitStack() as stack:
        stack.callback(made.remove)
        try:
            _probe(made)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        except OSError as error:
            pytest.skip(f"no network namespaces here: {error.strerror}")
        yield made


def _probe(made: Networks) -> None:
    """Everything that a test may do, once."""
    made.add("probe")
    made.add("other")
    made.join(("probe", "p0", "10.99.0.1/24"), ("other", "p0", "10.99.0.2/24"))
    with made.inside("probe"):
        pass


def _run(*words: str) -> None:
    """Raises `CalledProcessError`."""
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=30)


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")
