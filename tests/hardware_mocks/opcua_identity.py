"""The certificate of the operating room, made when its process starts, the same after a restart of the server; and the
clients that it trusts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from asyncua.common.utils import ServiceError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

URI = "urn:wardgate:simulated:or:server"
VALID = timedelta(days=365)
BACKDATED = timedelta(days=1)
CERTIFICATE, TRUSTED = "server.der", "trusted"
UNTRUSTED = 0x801A_0000


def identity(host: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """Self-signed, as most panels have it; whoever reads it has to be told to trust it."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated operating room")])
    names = [x509.UniformResourceIdentifier(URI), x509.IPAddress(ip_address(host))]
    now, number = datetime.now(UTC), x509.random_serial_number()
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), number, now - BACKDATED, now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


class Clients:
    """The folder in which a technician finds the server's certificate, and puts those of its clients."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def show(self, certificate: x509.Certificate) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / CERTIFICATE).write_bytes(certificate.public_bytes(Encoding.DER))

    async def check(self, certificate: x509.Certificate, _: object) -> None:
        """Raises `ServiceError` for a client that nobody has put there."""
        shown = certificate.public_bytes(Encoding.DER)
        if not any(file.read_bytes() == shown for file in (self._folder / TRUSTED).glob("*.der")):
            raise ServiceError(UNTRUSTED)
