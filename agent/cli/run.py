"""`wardgate run`: what the daemon's own command line means.

Plain argparse; `agent.__main__` starts the daemon itself.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

ETC = Path("/etc/wardgate")
CONFIG_VARIABLE = "WARDGATE_CONFIG"
HELP = "Run the daemon in the foreground; what systemd starts."
EXAMPLE = "wardgate run --config /etc/wardgate"


class _OneLine(argparse.ArgumentParser):
    """Usage errors as every verb gives them: one line, with what to do next."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"wardgate: {message}; see `{self.prog} --help`\n")
        sys.exit(2)


def folder(arguments: list[str]) -> Path:
    """The configuration folder that the arguments name. Ends the process with a usage error or with help."""
    parser = _OneLine(prog="wardgate run", description=HELP, epilog=f"Example: {EXAMPLE}", allow_abbrev=False)
    default = Path(os.environ.get(CONFIG_VARIABLE, ETC))
    parser.add_argument(
        "--config",
        type=Path,
        default=default,
        metavar="DIR",
        help=f"configuration folder (default {ETC}, or ${CONFIG_VARIABLE})",
    )
    chosen: Path = parser.parse_args(arguments).config
    return chosen
