"""Why there is no working session with a broker: what happened, and what a person should do.

Problem
├── Unreachable   try again soon: the network, the broker or the session is gone
│   ├── Broken    the connection was cut, by the broker or on the way
│   │   └── Ended the broker closed a session that it had accepted, without a word
│   └── TooLarge  the broker ended the session because of one message
└── Refused       a person must act: credentials, rights, protocol, certificate
    └── Taken     somebody else uses our client id: coming back at once would throw him out, and him us
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


class Broken(Unreachable):
    """Somebody cut it: a message that is too large for the broker is one reason."""


class Ended(Broken):
    """Once is nothing; again and again it is somebody with our client id, where the broker has no word for that."""


class TooLarge(Unreachable):
    """The session is possible, one of its messages is not."""


class Refused(Problem):
    """The other side said no: trying again helps only after a person did something."""


class Taken(Refused):
    """The session was taken over by another client with our id."""


def from_dialling(error: OSError | UnicodeError, host: str, port: int, *, with_cert: bool) -> Problem:
    """Why no connection was made. `with_cert`: whether we have shown a client certificate."""
    match error:
        case socket.gaierror() | UnicodeError():
            return Unreachable(f"the host name {host} is not known", "check the broker's name and the DNS server")
        case ConnectionRefusedError():
            return Unreachable(
                f"{host} refuses connections on port {port}", "check that the broker runs there, and the port"
            )
        case ssl.SSLCertVerificationError():
            return _untrusted(error, host)
        case ssl.SSLError():
            return from_tls(error, f"{host}:{port}", with_cert=with_cert)
        case TimeoutError():
            return Unreachable(f"{host}:{port} does not answer", "check the network, the firewall and the address")
        case _:
            return Unreachable(
                f"cannot connect to {host}:{port} ({error.strerror or error})", "check the network and the address"
            )


_CLOCK = "and compare this gateway's clock"
_AUTHORITY = "set the uplink's tls.ca to the certificate of the authority that signed the broker's certificate"
_NAME = "write the broker as it is named in its certificate, or that name as tls.server_name"
_UNTRUSTED: dict[int, tuple[str, str]] = {
    9: ("is not valid yet", f"check from when the broker's certificate is valid, {_CLOCK}"),
    10: ("has expired", f"have the broker's certificate renewed, {_CLOCK}"),
    18: ("is signed by itself and by no authority that we trust", _AUTHORITY),
    19: ("comes from an authority that we do not trust", _AUTHORITY),
    20: ("comes from an authority that we do not trust", _AUTHORITY),
    21: ("comes from an authority that we do not trust", _AUTHORITY),
    23: ("was revoked", "have the broker's certificate replaced"),
    62: ("is that of another name", _NAME),
    64: ("is that of another address", _NAME),
}
"""By the numbers of X509_V_ERR in OpenSSL."""


def _untrusted(error: ssl.SSLCertVerificationError, host: str) -> Problem:
    what, todo = _UNTRUSTED.get(
        error.verify_code,
        (f"is not trusted ({error.verify_message})", "check the broker's certificate and its authority"),
    )
    return Refused(f"the certificate of {host} {what}", todo)


_WANTS_ONE = ("wants a client certificate, and we have none", "set the uplink's tls.cert and tls.key")
_RENEW = "renew the uplink's tls.cert and tls.key; they are taken up without a restart"
_VERSION = ("speaks no TLS 1.2 or newer", "update the broker: older versions are not safe")
_NO_TLS = ("answers, but not with TLS", "check that this port is the broker's TLS port, usually 8883")
_ALERTS: dict[str, tuple[str, str]] = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _WANTS_ONE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": ("says that our client certificate has expired", f"{_RENEW}; {_CLOCK[4:]}"),
    "SSLV3_ALERT_CERTIFICATE_REVOKED": ("says that our client certificate was revoked", _RENEW),
    "TLSV1_ALERT_UNKNOWN_CA": (
        "does not know the authority of our client certificate",
        "have it signed by the authority that the broker trusts, or add that authority at the broker",
    ),
    "SSLV3_ALERT_BAD_CERTIFICATE": (
        "does not accept our client certificate",
        f"check its dates and its purpose (client), {_CLOCK}",
    ),
    "TLSV1_ALERT_PROTOCOL_VERSION": _VERSION,
    "UNSUPPORTED_PROTOCOL": _VERSION,
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
}
_ALERTS["SSLV3_ALERT_CERTIFICATE_UNKNOWN"] = _ALERTS["SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"] = _ALERTS[
    "SSLV3_ALERT_BAD_CERTIFICATE"
]
_HANDSHAKE_FAILURE = "SSLV3_ALERT_HANDSHAKE_FAILURE"
"""What TLS 1.2 says for lack of a client certificate, among others."""


def from_tls(error: ssl.SSLError, address: str, *, with_cert: bool) -> Problem:
    """What OpenSSL says of the other side: in the handshake, or at the first answer, which is later in TLS 1.3."""
    reason: str = getattr(error, "reason", None) or ""
    if reason == _HANDSHAKE_FAILURE and not with_cert:
        what, todo = _WANTS_ONE
    elif reason in _ALERTS:
        what, todo = _ALERTS[reason]
    elif not reason or "EOF" in reason:
        what, todo = "does not take part in the TLS handshake", "check that this port is the broker's TLS port"
    else:
        said = reason.replace("_", " ").lower()
        what, todo = f"agrees on no TLS with us ({said})", "look into the broker's log for its side of it"
    return Refused(f"{address} {what}", todo)


def no_answer(seconds: float) -> Problem:
    return Unreachable(
        f"connected, but no MQTT answer within {seconds:g} s", "check that host and port are those of an MQTT broker"
    )


def no_mqtt(what: str) -> Problem:
    return Refused(
        what,
        "check that host and port are those of an MQTT broker, and the uplink's `mqtt` version",
    )


def not_accepted(*, with_tls: bool, with_cert: bool) -> Problem:
    """The connection was ended before CONNACK, and nothing said why."""
    if with_tls and not with_cert:
        hint = "if the broker wants a client certificate, set the uplink's tls.cert and tls.key"
        return Unreachable("the broker ended the connection before accepting us", f"{hint}; else see the broker's log")
    return lost("the broker ended the connection before accepting us")


_AGAIN = "it connects again by itself; if this repeats, check the network and the broker's log"


def lost(what: str) -> Problem:
    return Unreachable(what, _AGAIN)


def broken(what: str) -> Problem:
    return Broken(what, _AGAIN)


def too_large(size: int | None = None) -> Problem:
    """`size` in bytes, where it was found out which message it was."""
    what = "a message" if size is None else f"messages of {size:,} bytes"
    return TooLarge(
        f"the broker ends the session at {what}, as too large",
        "raise the broker's maximum packet size; such messages are set aside until the next start",
    )


def ended() -> Problem:
    return Ended("the broker ended the connection", _AGAIN)


def taken_silently(client_id: str) -> Problem:
    """The broker ends our sessions soon after accepting them, and does not say why."""
    return Taken(
        f"the broker ends our sessions soon after accepting them: somebody else uses our client id {client_id}, or it "
        "forbids us a topic",
        f"{_CLIENT_ID}, and check the broker's access rules",
    )


_CREDENTIALS = "check the uplink's user and password and the broker's accounts"
_CLIENT_ID = "give every gateway a client id of its own"
_TAKEN_OVER = 0x8E
_TOO_LARGE = 0x95
_REFUSALS: dict[int, tuple[str, str]] = {
    0x84: ("does not speak this MQTT version", "set the uplink's `mqtt` to the version that the broker speaks"),
    0x85: ("does not accept the client id", "change the uplink's `client_id`"),
    0x86: ("does not accept user and password", _CREDENTIALS),
    0x87: ("does not let us in", _CREDENTIALS),
    0x8A: ("has banned us", "ask whoever runs the broker"),
    0x8C: ("wants another way of authentication", _CREDENTIALS),
    0x90: ("does not accept the topic of our will", "check the topic root and the broker's access rules"),
    0x9A: ("does not keep retained messages", "allow retained messages at the broker"),
    0x9B: ("does not accept QoS 1", "allow QoS 1 at the broker"),
    0x9C: ("tells us to use another one", "set the uplink's brokers to the address that is valid now"),
    0x9D: ("has moved", "set the uplink's brokers to the address that is valid now"),
}


def from_reason(code: int, name: str) -> Problem:
    """What a reason code of CONNACK or DISCONNECT (MQTT 5 numbers) means for us."""
    if code == _TAKEN_OVER:
        return Taken(f"somebody else connects with our client id ({name.lower()})", _CLIENT_ID)
    if code == _TOO_LARGE:
        return too_large()
    if code in _REFUSALS:
        what, todo = _REFUSALS[code]
        return Refused(f"the broker {what} ({name.lower()})", todo)
    return lost(f"the broker ended the session ({name.lower()})")
