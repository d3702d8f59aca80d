"""The file of the control socket: bound with its mode, never taken from another daemon, removed when it is ours."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROBE_S = 1.0
PATH_BYTES_MAX = 107
"""What Linux leaves of `sockaddr_un` for the name."""


class SocketBlocked(Exception):
    """The control socket cannot be opened; the sentence says why and what to do."""


@contextmanager
def listening(path: Path, mode: int) -> Iterator[socket.socket]:
    """A socket bound to `path`, and its file removed afterwards if it is still ours."""
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener:
        try:
            listener.bind(str(path))
            # Nobody can connect before listen(), so the mode is right from the first connection on.
            path.chmod(mode)
            listener.listen()
        except OSError as error:
            raise SocketBlocked(_advice(path, error)) from error
        ours = path.stat().st_ino
        try:
            yield listener
        finally:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == ours:
                    path.unlink()


def _clear(path: Path) -> None:
    """Remove a socket that nobody answers on; refuse to touch anything else."""
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise SocketBlocked(
            f"control socket path is longer than {PATH_BYTES_MAX} bytes: {path}; set a shorter control_socket"
        )
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketBlocked(_advice(path, error)) from error
    if not stat.S_ISSOCK(mode):
        raise SocketBlocked(f"{path} exists and is not a socket; remove it or set another control_socket")
    if _answers(path):
        raise SocketBlocked(f"another wardgate already answers on {path}; stop it or set another control_socket")
    path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError as error:
            # Busy or forbidden: somebody is there, so the file stays.
            raise SocketBlocked(_advice(path, error)) from error
        return True


def _advice(path: Path, error: OSError) -> str:
    hints = {
        FileNotFoundError: f"create the folder {path.parent} or set another control_socket",
        PermissionError: f"give this user write access to {path.parent} or set another control_socket",
    }
    hint = hints.get(type(error), "set another control_socket in gateway.yaml")
    return f"cannot open the control socket {path}: {error.strerror or error}; {hint}"
