"""`wardgate password`: what stands in gateway.yaml instead of a password or a token."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from agent.control.client import ControlError
from config.proofs import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, new_token, of_password, of_token

app = typer.Typer()


@app.command(epilog="Example: wardgate password\n\nExample: wardgate password --token")
def password(
    token: Annotated[
        bool, typer.Option("--token", help="Make a token for a program instead; it is shown once, on stderr.")
    ] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="Take the password from the first line of stdin.")] = False,
) -> None:
    """Print the hash for an account under `http.accounts` of gateway.yaml. The password itself is kept nowhere."""
    if token:
        made = new_token()
        print(f"the token, shown only now: {made}", file=sys.stderr)
        print(of_token(made).written)
    else:
        print(of_password(_judged(sys.stdin.readline().rstrip("\r\n") if stdin else _asked())).written)


def _asked() -> str:
    """Twice, and without showing it."""
    typed = getpass.getpass("password: ")
    if getpass.getpass("again: ") != typed:
        raise ControlError("the two are not the same", "type it again")
    return typed


def _judged(typed: str) -> str:
    if len(typed) < PASSWORD_LENGTH_MIN:
        raise ControlError(f"too short, {len(typed)} characters", f"{PASSWORD_LENGTH_MIN} or more; four words are good")
    if len(typed) > PASSWORD_LENGTH_MAX:
        raise ControlError("too long", f"{PASSWORD_LENGTH_MAX} characters at most")
    return typed
