"""What can go wrong with a line, named by what to do next.

    DriverError
    ├── Unreachable   the line is lost: try later (the caller closes, waits with jitter, connects again)
    ├── Refused       a person must act: credentials, certificate, address in use
    └── NoAnswer      one device did not answer; its line is fine

A single bad value is none of these: it is a quality in the reading.
"""

from __future__ import annotations


class DriverError(Exception):
    """What happened at which endpoint, in words for a technician, with the next step in `hint`."""

    def __init__(self, endpoint: str, what: str, hint: str = "") -> None:
        super().__init__(f"{endpoint}: {what}" + (f"; {hint}" if hint else ""))
        self.endpoint = endpoint
        self.what = what
        self.hint = hint


class Unreachable(DriverError):
    """The line is lost; try later."""


class Refused(DriverError):
    """The other side said no; somebody must change something."""


class NoAnswer(DriverError):
    """This device did not answer in time or answered that it cannot; the line itself is fine."""


def not_ours(endpoint: str, address: str) -> Unreachable:
    """A line is to be bound to an address that no interface has now."""
    return Unreachable(
        endpoint, f"this machine does not have the address {address}", "is the interface up, and is this its address?"
    )
