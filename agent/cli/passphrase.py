"""The passphrase of a backup's secrets: out of a file, or typed where nobody sees it. Never an argument."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.control.client import NotDone

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        show_default=False,
        help="Where the passphrase is; without it, you are asked.",
    ),
]
NoSecrets = Annotated[bool, typer.Option("--no-secrets", help="Leave passwords and private keys out.")]


def passphrase(file: Path | None, *, left_out: bool, twice: bool) -> str | None:
    """None where no secrets are wanted. Raises a usage error where there is nobody to ask."""
    if left_out and file is not None:
        raise typer.BadParameter("--no-secrets needs no passphrase; write one of the two")
    if left_out:
        return None
    if file is not None:
        return _read(file)
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked for a passphrase; write --passphrase-file FILE or --no-secrets")
    asked: str = typer.prompt("passphrase / 口令", hide_input=True, confirmation_prompt=twice, err=True)
    return asked


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NotDone(f"cannot read the passphrase in {file} ({error})", "name a text file of yours") from error
