"""The certificate of the operating room: made when its process starts, the same after a restart of the server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

URI = "urn:wardgate:simulated:or:server"
VALID = timedelta(days=365)
BACKDATED = timedelta(days=1)


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
