"""The PEM files that prove broker and gateway to each other: loaded for every connection, and noticed when renewed.

Always true: the broker's chain and name are checked, nothing below TLS 1.2 is spoken, and a file that cannot be used
ends in a `Refused` that names it, never in a connection with less. Blocking, because it reads files.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.uplink.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from config.outward import Tls

DAY_S = 86_400.0
WARN_S_MAX = 30 * DAY_S
"""A certificate is worth a warning in the last quarter of its life, and at most so long before its end."""

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY = b"PRIVATE KEY-----"
_VERSION = 0xA0
_UTC_TIME = 0x17
_LONG_FORM = 0x80
_FILE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate holds, in seconds since the epoch."""

    begin: float
    end: float

    def ends_soon(self, wall: float) -> bool:
        return self.end - wall < min(WARN_S_MAX, (self.end - self.begin) / 4)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection is made with. `fingerprint` changes with the content of any file behind it."""

    context: ssl.SSLContext
    fingerprint: str
    ours: Validity | None


def load(tls: Tls) -> Credentials:
    """Read every file now. Raises `Refused`."""
    fingerprint = fingerprint_of(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca is None:
        context.load_default_certs()
    else:
        _read(tls.ca, _CERTIFICATE, "certificate of the authority")
        _trust(context, tls.ca)
    ours = None
    if tls.cert is not None:
        ours = validity(_read(tls.cert, _CERTIFICATE, "client certificate"))
        _identify(context, tls.cert, key_file(tls))
    return Credentials(context, fingerprint, ours)


def fingerprint_of(tls: Tls) -> str:
    """A hash over all files; one that is not there is a content of its own. Never raises."""
    digest = hashlib.sha256()
    for path in _files(tls):
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()


def key_file(tls: Tls) -> Path:
    """Where the private key is. Raises `Refused`."""
    assert tls.key is not None, "a certificate without a key is refused by the configuration"
    try:
        return tls.key.path()
    except LookupError as error:
        raise Refused(f"no private key: {error.args[0]}", "provide that credential") from error


def validity(pem: bytes) -> Validity | None:
    """That of the first certificate in the file; None where it is damaged in a way that others will find."""
    end = b"-----END CERTIFICATE-----"
    block = _CERTIFICATE + pem.partition(_CERTIFICATE)[2].partition(end)[0] + end
    try:
        ((_, certificate),) = _elements(ssl.PEM_cert_to_DER_cert(block.decode("ascii")))
        (_, signed), *_ = _elements(certificate)
        parts = [element for element in _elements(signed) if element[0] != _VERSION]
        (_, dates) = parts[3]  # after serial number, algorithm and issuer
        begin, until = (_time(*element) for element in _elements(dates))
    except (ValueError, IndexError):
        return None
    return Validity(begin, until)


def peer_validity(certificate: Mapping[str, object]) -> Validity | None:
    """That of the other side, from what `getpeercert` says of it."""
    begin, end = certificate.get("notBefore"), certificate.get("notAfter")
    if not isinstance(begin, str) or not isinstance(end, str):
        return None
    return Validity(float(ssl.cert_time_to_seconds(begin)), float(ssl.cert_time_to_seconds(end)))


def _files(tls: Tls) -> Iterator[Path]:
    yield from (path for path in (tls.ca, tls.cert) if path is not None)
    if tls.key is not None:
        try:
            yield tls.key.path()
        except LookupError:
            return


def _read(path: Path, marker: bytes, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise Refused(
            f"cannot read the {what} {path} ({error.strerror})", "put the file there, readable for the user wardgate"
        ) from error
    if marker not in content:
        raise Refused(f"{path} holds no {what} in PEM form", "write it as PEM, the text form with BEGIN and END lines")
    return content


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        raise Refused(f"cannot use the certificate of the authority {ca} ({_reason(error)})", "replace the file") from (
            error
        )


def _identify(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    content = _read(key, _PRIVATE_KEY, "private key")
    if b"ENCRYPTED" in content:
        raise Refused(
            f"the private key {key} has a passphrase", "write it without one, and keep the file or credential closed"
        )
    try:
        # With a passphrase asked for after all, OpenSSL would read it from the terminal and wait for ever.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        raise Refused(
            f"the private key {key} does not fit the client certificate {cert} ({_reason(error)})",
            "put both files there from the same renewal",
        ) from error


def _reason(error: OSError) -> str:
    reason: str | None = getattr(error, "reason", None)
    return (reason or error.strerror or str(error)).replace("_", " ").lower()


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element of a DER sequence's content. Raises `ValueError` and `IndexError`."""
    found: list[tuple[int, bytes]] = []
    while der:
        tag, length, head = der[0], der[1], 2
        if length & _LONG_FORM:
            head += length & ~_LONG_FORM
            length = int.from_bytes(der[2:head], "big")
        if len(der) < head + length:
            raise ValueError("cut short")
        found.append((tag, der[head : head + length]))
        der = der[head + length :]
    return found


def _time(tag: int, content: bytes) -> float:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(content.decode("ascii"), form).replace(tzinfo=UTC).timestamp()
