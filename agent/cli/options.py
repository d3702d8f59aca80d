"""Options that several verbs share, and what they mean: which daemon, which language, which form."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.run import CONFIG_VARIABLE, ETC
from agent.control.client import Client, ControlError, NotDone
from config.alone import gateway_fields, state_folder
from config.document import Document

DEFAULT_SOCKET = Path("/run/wardgate/control.sock")
SOCKET_VARIABLE = "WARDGATE_SOCKET"

Language = Literal["zh", "en"]


def locale_language() -> Language:
    """What the locale says, by the order that POSIX gives its variables."""
    spoken = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return "zh" if spoken.startswith("zh") else "en"


ConfigDir = Annotated[
    Path,
    typer.Option(
        "--config",
        metavar="DIR",
        envvar=CONFIG_VARIABLE,
        help="Configuration folder.",
        show_envvar=True,
        readable=False,  # who may use the control socket need not be able to read the configuration
    ),
]
Socket = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        envvar=SOCKET_VARIABLE,
        show_default=False,
        help="Control socket; by default the one that the configuration names.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output; its shape is a promise.")]
Lang = Annotated[
    Language, typer.Option("--lang", default_factory=locale_language, show_default="by locale", help="zh or en.")
]

__all__ = ["ETC", "AsJson", "ConfigDir", "Lang", "Language", "Socket", "client", "gateway_home", "locale_language"]


def client(config: Path, chosen: Path | None) -> Client:
    """The daemon of this configuration. The socket's path is read alone: a broken configuration must not hide a daemon
    that goes on with the old one.
    """
    return Client(chosen or _configured(config) or DEFAULT_SOCKET)


def _configured(config: Path) -> Path | None:
    try:
        document = Document("gateway.yaml", (config / "gateway.yaml").read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        if DEFAULT_SOCKET.exists():
            return None
        raise ControlError(
            f"cannot read {error.filename} ({error.strerror})", "name the daemon's --socket, or use sudo"
        ) from error
    path = document.data.get("control_socket") if document.data else None
    return config / path if isinstance(path, str) else None


def gateway_home(config: Path) -> tuple[str, Path]:
    """The gateway's name and its state folder. Read alone, so that a mistake elsewhere in the files does not matter."""
    try:
        written, state = gateway_fields(config), state_folder(config)
    except OSError as error:
        what = f"cannot read {config / 'gateway.yaml'} ({error.strerror})"
        raise NotDone(what, "name its folder with --config") from error
    return f"{written.get('site', '')}-{written.get('gateway', '')}", state
