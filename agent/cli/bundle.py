"""`wardgate bundle`: what support needs to understand a gateway, in one file, and no secret."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
import zipfile
from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.control.client import ControlError, DaemonUnreachable, NotDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent.control.client import Client
    from config.model import Config

DAY_S = 86_400.0
LOG_LINES_MAX = 5000
LOG_S_MAX = 30.0
HIDDEN = "(secret)"

app = typer.Typer()


class BundleView(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was written, what is in it, and what could not be had, with why."""

    file: str
    parts: list[str]
    missing: dict[str, str]


@app.command(epilog="Example: wardgate bundle gw-1.zip")
def bundle(
    lang: Lang,
    file: Annotated[Path, typer.Argument(help="The file that is to be; one that is there is not replaced.")],
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Status, values, alarms, configuration, metrics and log in one ZIP file for support, without any secret.

    Works while the daemon does not: then it holds what can be had without it, and says what is missing.
    """
    from agent.cli import show
    from agent.cli.words import Words

    parts, missing = _gathered(client(config, socket), config)
    _write(file, parts)
    view = BundleView(file=str(file), parts=sorted(parts), missing=missing)
    if as_json:
        show.json(view)
        return
    words = Words(lang)
    print(words("{}: {} parts for support, without secrets").format(file, len(parts)))
    for name, why in missing.items():
        print(f"  {words('missing')}: {name} ({why})")


def _gathered(daemon: Client, config: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """The content of each part by its name, and why others are missing."""
    parts: dict[str, bytes] = {"about.json": _json(_about())}
    missing: dict[str, str] = {}
    for name, ask in _questions(daemon).items():
        try:
            parts[name] = ask()
        except ControlError as error:
            missing[name] = str(error)
            if isinstance(error, DaemonUnreachable):
                break
    judged, accepted = _judged(config)
    parts["check.json"] = judged
    log = _log()
    if log is None:
        missing["log.txt"] = "journalctl shows none here"
    else:
        parts["log.txt"] = log
    secrets = tuple(_secrets(accepted))
    return {name: _hidden(part, secrets) for name, part in parts.items()}, missing


def _questions(daemon: Client) -> dict[str, Callable[[], bytes]]:
    now = time.time()
    return {
        "status.json": lambda: _json(daemon.status()),
        "points.json": lambda: _json(daemon.points()),
        "configuration.json": lambda: _json(daemon.configuration()),
        "alarms-of-a-day.json": lambda: _json(daemon.alarm_history(None, now - DAY_S, now)),
        "metrics.txt": lambda: daemon.metrics().encode(),
    }


def _about() -> dict[str, str]:
    from agent import __version__
    from agent.events import rfc3339

    return {
        "wardgate": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "time": rfc3339(time.time()),
    }


def _judged(config: Path) -> tuple[bytes, Config | None]:
    """What `check` says of the files, which may be others than those that run; and what they mean, if anything."""
    from agent.accept import accept
    from agent.cli import configured
    from agent.clock import SystemClock
    from config.errors import ConfigInvalid

    try:
        accepted, _ = accept(config, SystemClock())
    except ConfigInvalid as invalid:
        return _json(configured.blame(invalid)), None
    return _json(configured.praise(accepted)), accepted


def _log() -> bytes | None:
    """The end of the service's log, where systemd keeps it and this user may read it."""
    journalctl = shutil.which("journalctl")
    if journalctl is None:
        return None
    command = [journalctl, "--unit=wardgate", "--no-pager", "--output=short-iso", f"--lines={LOG_LINES_MAX}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LOG_S_MAX, check=False)  # noqa: S603 (a program by its path, and no shell)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def _hidden(part: bytes, secrets: Iterable[bytes]) -> bytes:
    """Nothing puts a secret there; but people type them where they do not belong, such as into a comment."""
    for secret in secrets:
        part = part.replace(secret, HIDDEN.encode())
    return part


def _secrets(accepted: Config | None) -> Iterator[bytes]:
    from config.revealed import revealed

    for secret in revealed(accepted) if accepted is not None else ():
        yield secret.encode()
        yield msgspec.json.encode(secret)[1:-1]


def _write(file: Path, parts: dict[str, bytes]) -> None:
    """For the eyes of its owner. Raises `NotDone`."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise NotDone(f"{file} is there already", "name another file") from error
    except OSError as error:
        raise NotDone(f"cannot write {file} ({error.strerror})", "name another place") from error
    with os.fdopen(handle, "wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(parts.items()):
            archive.writestr(name, content)


def _json(view: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(view))
