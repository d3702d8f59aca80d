"""The command line of a mock process, as one type: read by `__main__`, written by the supervisor and the client."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from hardware_mocks.hospital import STORIES
from hardware_mocks.layout import PROTOCOLS, ProtocolName

ALL = "all"


@dataclass(frozen=True, slots=True)
class Settings:
    """`origin` is the moment on the monotonic clock at which the hospital began; all processes must have the same.

    `pki` is the folder with the certificate of the OPC UA server and of those clients that it trusts; without one it
    trusts anybody.
    """

    net: str
    control: Path
    seed: int = 1
    log: Path | None = None
    story: str = "quiet"
    origin: float = 0.0
    lifeline: bool = False
    protocols: tuple[ProtocolName, ...] = PROTOCOLS
    pki: Path | None = None

    def arguments(self, protocol: str = ALL) -> list[str]:
        """The command line that gives these settings."""
        line = [protocol, "--net", self.net, "--control", str(self.control), "--seed", str(self.seed)]
        line += ["--story", self.story, "--origin", repr(self.origin), "--protocols", ",".join(self.protocols)]
        line += ["--log", str(self.log)] if self.log is not None else []
        line += ["--pki", str(self.pki)] if self.pki is not None else []
        return [*line, "--lifeline"] if self.lifeline else line


def parse(arguments: list[str]) -> tuple[str, Settings]:
    """The protocol to serve (`all` is the supervisor) and the settings. Ends the process on a usage error."""
    parser = argparse.ArgumentParser(prog="hardware_mocks", description="A simulated hospital on loopback.")
    parser.add_argument("protocol", nargs="?", default=ALL, choices=[ALL, *PROTOCOLS])
    parser.add_argument("--net", default="127.77.0", help="loopback /24 without its last number")
    parser.add_argument("--control", type=Path, required=True, help="Unix socket for commands")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="ground truth, JSON lines, appended")
    parser.add_argument("--story", choices=list(STORIES), default="quiet")
    parser.add_argument("--origin", type=float, help="monotonic seconds at which the hospital began; default: now")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    parser.add_argument("--protocols", default=",".join(PROTOCOLS), help="what the supervisor starts")
    parser.add_argument("--pki", type=Path, help="folder of the OPC UA server's certificate and of whom it trusts")
    given = parser.parse_args(arguments)
    chosen = tuple(name for name in PROTOCOLS if name in given.protocols.split(","))
    origin = time.monotonic() if given.origin is None else given.origin
    return given.protocol, Settings(
        given.net, given.control, given.seed, given.log, given.story, origin, given.lifeline, chosen, given.pki
    )
