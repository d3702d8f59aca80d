"""One question to a control socket, as a machine asks it."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def ask(path: Path, target: str, **headers: str) -> tuple[int, str, str]:
    """Status code, content type and body of one question over the control socket."""
    connection = http.client.HTTPConnection("wardgate", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body
