"""Certificates of OPC UA servers and authorities for tests, right or wrong in one respect. RSA keys are made once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of this name."""
    return _key(name, bits)


@cache
def _key(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate(
    name: str,
    *,
    uri: str | None = None,
    host: str | None = None,
    issuer: str | None = None,
    bits: int = 2048,
    begin: timedelta = -DAY,
    end: timedelta = DAY,
    authority: bool = False,
) -> x509.Certificate:
    """Signed by the key of `issuer`, or by itself."""
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)] if uri else []
    names += [x509.IPAddress(ip_address(host))] if host else []
    public = key(name, bits).public_key()
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(subject(issuer or name), subject(name), public, serial, now + begin, now + end)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    return builder.sign(key(issuer, 2048) if issuer else key(name, bits), hashes.SHA256())


def revoking(issuer: str, *revoked: x509.Certificate, signed_by: str | None = None) -> x509.CertificateRevocationList:
    """The revocation list of an authority."""
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder(subject(issuer), now - DAY, now + DAY)
    for each in revoked:
        entry = x509.RevokedCertificateBuilder(each.serial_number, now - DAY).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key(signed_by or issuer), hashes.SHA256())


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def write(folder: Path, name: str, shown: x509.Certificate) -> tuple[Path, Path]:
    """Certificate as DER and key as PEM, for the library's server."""
    paths = folder / f"{name}.der", folder / f"{name}.pem"
    paths[0].write_bytes(shown.public_bytes(Encoding.DER))
    paths[1].write_bytes(key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths
