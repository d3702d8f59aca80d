"""The certificate that shows this gateway to OPC UA servers, and the one that shows its user. Blocking: reads files.

Made once, at the first start: RSA 2048 with SHA-256, which every policy of today takes and every old controller can
check. It is self-signed and valid for 20 years, because a server that trusts it is visited about as often. Whoever has
an authority of his own puts the certificate that it issued, and its key, in the place of these two files: the next
connection uses them, and their URI is the gateway's name from then on.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CERTIFICATE = "certificate.der"
KEY = "key.pem"
KEY_BITS = 2048
VALID_DAYS = 20 * 365
BACKDATED = timedelta(days=1)
"""A server whose clock is late must not refuse a new certificate."""

_PEM = b"-----BEGIN"


class Unusable(Exception):
    """A file that cannot be used, in words for a technician, with the next step in `hint`."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def uri(self) -> str:
        """The application's URI in the certificate; empty where it has none."""
        uris = alternatives(self.certificate).get_values_for_type(x509.UniformResourceIdentifier)
        return uris[0] if uris else ""

    @property
    def thumbprint(self) -> str:
        return thumbprint(self.certificate)


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 in capitals, as OPC UA tools show it (OPC 10000-6, 6.2.2); a name for a certificate, no proof."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - the standard's name for a certificate


def alternatives(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    """The URI, host names and addresses in a certificate; empty where it has none."""
    with suppress(x509.ExtensionNotFound, ValueError):
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return x509.SubjectAlternativeName([])


def folder(state: Path) -> Path:
    """Where the gateway's own certificate is, below its folder `state`."""
    return state / "opcua" / "own"


def own(where: Path, gateway: str, wall: float) -> Identity:
    """That of the gateway named `gateway`, made now if there is none. Raises `Unusable`."""
    with _writing(where):
        if not (where / CERTIFICATE).exists():
            _create(where, gateway, datetime.fromtimestamp(wall, UTC))
    found = load(where / CERTIFICATE, where / KEY)
    if not found.uri:
        raise Unusable(f"{where / CERTIFICATE} has no application URI", "issue it with a URI as alternative name")
    return found


def stamp(where: Path) -> tuple[int, ...]:
    """Changes when somebody puts another certificate or key in place; empty while there is none."""
    with suppress(OSError):
        files = [(where / name).stat() for name in (CERTIFICATE, KEY)]
        return tuple(number for file in files for number in (file.st_mtime_ns, file.st_size))
    return ()


def load(certificate: Path, key: Path) -> Identity:
    """Two files, each PEM or DER, that belong together. Raises `Unusable`."""
    shown, secret = parse(_read(certificate), certificate), _private(_read(key), key)
    if shown.public_key() != secret.public_key():
        raise Unusable(
            f"the key {key} does not fit the certificate {certificate}", "put both from the same issue there"
        )
    return Identity(shown, secret)


def parse(content: bytes, origin: Path | str) -> x509.Certificate:
    """A certificate in PEM or DER form. Raises `Unusable`."""
    try:
        certificate = (
            x509.load_pem_x509_certificate(content) if _PEM in content else x509.load_der_x509_certificate(content)
        )
        alternatives(certificate)
    except ValueError as error:
        raise Unusable(f"{origin} is not a certificate", "write it in PEM or DER form") from error
    return certificate


def _private(content: bytes, origin: Path) -> rsa.RSAPrivateKey:
    try:
        key = (load_pem_private_key if _PEM in content else load_der_private_key)(content, None)
    except (ValueError, TypeError) as error:
        raise Unusable(
            f"{origin} is not a private key without passphrase",
            "write it in PEM or DER form, readable for wardgate only",
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Unusable(f"{origin} is not an RSA key", "the policies of OPC UA want RSA with 2048 to 4096 bits")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(
            f"cannot read {path} ({error.strerror})", "see that it is there and readable for wardgate"
        ) from (error)


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    """One at a time: several lines start together, and the command line may come in between. Raises `Unusable`."""
    try:
        where.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (where / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        what = f"cannot use the folder {where} ({error.strerror})"
        raise Unusable(what, "let wardgate write there, or name another one as state in gateway.yaml") from error


def _create(where: Path, gateway: str, now: datetime) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    certificate = _signed(key, gateway, socket.gethostname(), now)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # The certificate comes last: where it is, everything is.
    _put(where / KEY, secret, 0o600)
    _put(where / CERTIFICATE, certificate.public_bytes(Encoding.DER), 0o644)


def _put(path: Path, content: bytes, mode: int) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _signed(key: rsa.RSAPrivateKey, gateway: str, host: str, now: datetime) -> x509.Certificate:
    """As OPC 10000-6, 6.2.2 wants an application's certificate."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"wardgate {gateway}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "wardgate"),
        ]
    )
    names = [x509.UniformResourceIdentifier(f"urn:{host}:wardgate:{gateway}"), x509.DNSName(host)]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_cert_sign=True,  # it signed itself: without this, some servers call the signature unlawful
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    public = key.public_key()
    serial, until = x509.random_serial_number(), now + timedelta(days=VALID_DAYS)
    return (
        x509.CertificateBuilder(name, name, public, serial, now - BACKDATED, until)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
