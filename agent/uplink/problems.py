"""Why there is no working session with a broker: what happened, and what a person should do.

Problem
├── Unreachable   try again soon: the network, the broker or the session is gone
└── Refused       a person must act: credentials, rights, protocol, certificate, client id
"""

from __future__ import annotations

import socket
import ssl


class Problem(Exception):
    """`what` is one clause for a log line, `todo` the next step."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(f"{what}; {todo}")
        self.what = what
        self.todo = todo


class Unreachable(Problem):
    """Trying again is all that can be done from here."""


class Refused(Problem):
    """The other side said no: trying again helps only after a person did something."""


def from_dialling(error: OSError | UnicodeError, host: str, port: int) -> Problem:
    """Why no connection was made."""
    match error:
        case socket.gaierror() | UnicodeError():
            return Unreachable(f"the host name {host} is not known", "check the broker's name and the DNS server")
        case ConnectionRefusedError():
            return Unreachable(
                f"{host} refuses connections on port {port}", "check that the broker runs there, and the port"
            )
        case ssl.SSLCertVerificationError():
            return Refused(
                f"the certificate of {host} is not trusted ({error.verify_message})",
                "check the broker's certificate, its name and its authority",
            )
        case ssl.SSLError():
            return Refused(
                f"no TLS with {host}:{port} ({error.reason or 'handshake failed'})", "check that this port speaks TLS"
            )
        case TimeoutError():
            return Unreachable(f"{host}:{port} does not answer", "check the network, the firewall and the address")
        case _:
            return Unreachable(
                f"cannot connect to {host}:{port} ({error.strerror or error})", "check the network and the address"
            )


def no_answer(seconds: float) -> Problem:
    return Unreachable(
        f"connected, but no MQTT answer within {seconds:g} s", "check that host and port are those of an MQTT broker"
    )


def no_mqtt(version: str) -> Problem:
    return Refused(
        f"the other side ended the connection instead of accepting MQTT {version}",
        "check that host and port are those of an MQTT broker, and the uplink's `mqtt` version",
    )


def lost(what: str) -> Problem:
    return Unreachable(what, "it connects again by itself; if this repeats, check the network and the broker's log")


_CREDENTIALS = "check the uplink's user and password and the broker's accounts"
_CLIENT_ID = "give every gateway a client id of its own"
_REFUSALS: dict[int, tuple[str, str]] = {
    0x84: ("does not speak this MQTT version", "set the uplink's `mqtt` to the version that the broker speaks"),
    0x85: ("does not accept the client id", "change the uplink's `client_id`"),
    0x86: ("does not accept user and password", _CREDENTIALS),
    0x87: ("does not let us in", _CREDENTIALS),
    0x8A: ("has banned us", "ask whoever runs the broker"),
    0x8C: ("wants another way of authentication", _CREDENTIALS),
    0x8E: ("was given our client id by somebody else", _CLIENT_ID),
    0x90: ("does not accept the topic of our will", "check the topic root and the broker's access rules"),
    0x9A: ("does not keep retained messages", "allow retained messages at the broker"),
    0x9B: ("does not accept QoS 1", "allow QoS 1 at the broker"),
    0x9C: ("tells us to use another one", "set the uplink's brokers to the address that is valid now"),
    0x9D: ("has moved", "set the uplink's brokers to the address that is valid now"),
}


def from_reason(code: int, name: str) -> Problem:
    """What a reason code of CONNACK or DISCONNECT (MQTT 5 numbers) means for us."""
    if code in _REFUSALS:
        what, todo = _REFUSALS[code]
        return Refused(f"the broker {what} ({name.lower()})", todo)
    return lost(f"the broker ended the session ({name.lower()})")
