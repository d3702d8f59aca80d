"""What asyncua raises, in the three words of `drivers.errors`. The one place that knows the library's ways of failing.

    silence                                   Unreachable   try later
    a lost, full or restarting server         Unreachable
    no rights, no trust, no such service      Refused       a person must act
    a status about this one request           NoAnswer      the line is fine (only where the caller says so)

asyncua 2.1.0 has no base class for what goes wrong: sockets give `OSError`, refusals `UaStatusCodeError` or, for a
refused channel, a bare `AssertionError` or `AttributeError`, and bytes that are not OPC UA what its decoder trips over.
Only calls of the library stand inside these blocks, so a mistake of ours is not mistaken for one of the server.
"""

from __future__ import annotations

import logging
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asyncua.ua import status_codes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography.exceptions import InvalidSignature

from drivers.errors import DriverError, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

GARBLED = (UaError, struct.error, ValueError, LookupError, TypeError, ArithmeticError, RecursionError)
"""What asyncua's decoder raises on bytes that are not OPC UA; a `ValueError` is our own `Undecodable`, too."""

_REACH = "see that the server runs and can be reached from here"
_NO_ENDPOINT = "No matching endpoints"
_OTHER_CERTIFICATE = "Server certificate mismatch"
_CHANNEL_REFUSED = (AssertionError, AttributeError)

_TRUST_US = "trust the gateway's certificate in the server: `wardgate opcua certificate` shows where it is"

_HINTS = {
    "BadIdentityTokenInvalid": "see user and password of this line, and which users the server takes",
    "BadIdentityTokenRejected": "see user and password of this line, and which users the server takes",
    "BadUserAccessDenied": "see user and password, and give this user the right to read",
    "BadUserSignatureInvalid": "trust user_cert in the server as that of a user",
    "BadCertificateUntrusted": _TRUST_US,
    "BadSecurityChecksFailed": _TRUST_US,
    "BadSecurityPolicyRejected": "enable an endpoint with the security that this line is configured for",
    "BadSecurityModeRejected": "enable an endpoint with the security that this line is configured for",
    "BadCertificateUriInvalid": "the server wants another URI in the gateway's certificate: see its log",
    "BadCertificateTimeInvalid": "see the clocks of both, and `wardgate opcua certificate`",
    "BadServiceUnsupported": "the server has no subscriptions: set mode: read on this line",
    "BadTcpEndpointUrlInvalid": "write the URL exactly as the server announces it, path included",
    "BadTooManySessions": "close other clients of this server, or raise its limit",
    "BadTooManySubscriptions": "close other clients of this server, or set mode: read on this line",
    "BadMaxConnectionsReached": "close other clients of this server, or raise its limit",
}

_REFUSALS = frozenset(
    {
        "BadApplicationSignatureInvalid",
        "BadIdentityTokenInvalid",
        "BadIdentityTokenRejected",
        "BadLicenseExpired",
        "BadLicenseLimitsExceeded",
        "BadLicenseNotAvailable",
        "BadSecurityChecksFailed",
        "BadSecurityModeInsufficient",
        "BadSecurityModeRejected",
        "BadSecurityPolicyRejected",
        "BadServiceUnsupported",
        "BadTcpEndpointUrlInvalid",
        "BadUserAccessDenied",
        "BadUserSignatureInvalid",
    }
)

_LOST = frozenset(
    {
        "BadConnectionClosed",
        "BadNoSubscription",
        "BadNotConnected",
        "BadSecureChannelClosed",
        "BadSecureChannelIdInvalid",
        "BadSecureChannelTokenUnknown",
        "BadServerHalted",
        "BadServerNotConnected",
        "BadSessionClosed",
        "BadSessionIdInvalid",
        "BadSessionNotActivated",
        "BadShutdown",
        "BadSubscriptionIdInvalid",
    }
)


def quieten() -> None:
    """Silence asyncua's own log: it calls a normal refusal CRITICAL, and all that it says is raised to us as well."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)


def name_of(status: int) -> str:
    """`BadNodeIdUnknown (0x80340000)`."""
    name, _ = status_codes.get_name_and_doc(status & 0xFFFF_0000)
    return f"{name} (0x{status:08X})"


def of_status(endpoint: str, doing: str, status: int, otherwise: type[DriverError] = Unreachable) -> DriverError:
    """The error for a bad status code; `otherwise` is the class for codes that speak of this request only."""
    name, _ = status_codes.get_name_and_doc(status & 0xFFFF_0000)
    what = f"the server answered {name_of(status)} while {doing}"
    if name in _REFUSALS or name.startswith("BadCertificate"):
        return Refused(endpoint, what, _HINTS.get(name, "see the server's log for what it wants"))
    return (Unreachable if name in _LOST else otherwise)(endpoint, what, _HINTS.get(name, ""))


@contextmanager
def translated(endpoint: str, doing: str, otherwise: type[DriverError] = Unreachable) -> Iterator[None]:
    """Around calls of asyncua: whatever they raise leaves as a `DriverError` that says what we were doing."""
    try:
        yield
    except TimeoutError as error:
        raise Unreachable(endpoint, f"no answer while {doing}", _REACH) from error
    except UaStatusCodeError as error:
        raise of_status(endpoint, doing, error.code, otherwise) from error
    except OSError as error:
        raise Unreachable(endpoint, f"{error.strerror or error} while {doing}", _REACH) from error
    except GARBLED as error:
        if _NO_ENDPOINT in str(error):
            what = "the server has no endpoint with the security that is configured"
            raise Refused(endpoint, what, "enable one, or write the security that it has") from error
        if _OTHER_CERTIFICATE in str(error):
            what = "the server shows one certificate to everybody and another one in private"
            raise Refused(endpoint, what, "look for who is between gateway and server") from error
        raise Unreachable(endpoint, f"not understood while {doing}: {error!r}", "see that it speaks OPC UA") from error


@contextmanager
def opening(endpoint: str, doing: str) -> Iterator[None]:
    """As `translated`, for the steps of a connect, where asyncua has two more ways to say that it was refused."""
    try:
        with translated(endpoint, doing):
            yield
    except InvalidSignature as error:
        what = f"the server could not prove while {doing} that its certificate is its own"
        raise Refused(endpoint, what, "look for who is between gateway and server") from error
    except _CHANNEL_REFUSED as error:
        raise Refused(
            endpoint,
            f"the server refused the secure channel while {doing}",
            f"{_TRUST_US}; see the server's log",
        ) from error
