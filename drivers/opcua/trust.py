"""Which servers are trusted, and whether a certificate is the server's own. Blocking: reads and writes files.

    trusted/    certificates of servers, or of authorities for all that they issued
    revoked/    revocation lists of those authorities
    rejected/   what was shown to us and is not trusted, at most `REJECTED_MAX`, the oldest go first

Nothing is ever trusted by itself, on first use or otherwise. A file is named after the certificate in it; files that
somebody else puts there, PEM or DER under any name, count as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from drivers.opcua.identity import Unusable, alternatives, parse, thumbprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

KEY_BITS_MIN = 2048
REJECTED_MAX = 100
SKEW_S_MAX = 300.0
"""How far the clocks of an authority and of this gateway may be apart."""

State = Literal["trusted", "rejected"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate that is on file."""

    state: State
    thumbprint: str
    name: str
    uri: str
    ends: datetime
    path: Path


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server says that it is: its certificate and those that issued it, its URI, and where we found it."""

    chain: Sequence[x509.Certificate]
    uri: str
    host: str


class TrustList:
    """The three folders in `opcua` below the gateway's folder `state`."""

    def __init__(self, state: Path) -> None:
        folder = state / "opcua"
        self._trusted, self._revoked, self._rejected = (folder / name for name in ("trusted", "revoked", "rejected"))

    def entries(self) -> list[Entry]:
        """All that is on file, the trusted first."""
        places: tuple[tuple[State, Path], ...] = (("trusted", self._trusted), ("rejected", self._rejected))
        return [_entry(state, *found) for state, folder in places for found in _certificates(folder)]

    def add(self, certificate: x509.Certificate) -> Entry:
        """Trust it from the next connection on. Raises `Unusable`."""
        path = self._write(self._trusted, certificate)
        for entry in self._matching(self._rejected, thumbprint(certificate)):
            entry.unlink(missing_ok=True)
        return _entry("trusted", certificate, path)

    def remove(self, thumb: str) -> list[Path]:
        """Forget what has this thumbprint, trusted or rejected; gives the files that went. Raises `Unusable`."""
        gone = [*self._matching(self._trusted, thumb), *self._matching(self._rejected, thumb)]
        try:
            for path in gone:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise Unusable(f"cannot remove {error.filename} ({error.strerror})", "use sudo") from error
        return gone

    def check(self, shown: Shown, wall: float) -> None:
        """Whether this is a server that we trust, now. Raises `Unusable`; what nobody knows is kept as rejected."""
        server = shown.chain[0]
        _check_key(server)
        if server not in [each for each, _ in _certificates(self._trusted)]:
            self._check_issuer(shown, wall)
        _check_time(server, wall)
        uris = alternatives(server).get_values_for_type(x509.UniformResourceIdentifier)
        if shown.uri not in uris:
            what = f"the server calls itself {shown.uri}, its certificate says {', '.join(uris) or 'nothing'}"
            raise Unusable(what, "give the server a certificate with its own URI")

    def _check_issuer(self, shown: Shown, wall: float) -> None:
        """A certificate that is not itself trusted needs an authority that is."""
        server, *issuers = shown.chain
        authorities = [each for each, _ in _certificates(self._trusted) if _is_authority(each)]
        chain = _verified(server, issuers, authorities, wall)
        if chain is None:
            self._reject(server)
            thumb = thumbprint(server)
            what = f"its certificate is not trusted ({_name(server)}, thumbprint {thumb})"
            raise Unusable(
                what, f"compare the thumbprint with the one on the server, then `wardgate opcua trust add {thumb[:8]}`"
            )
        self._check_revoked(chain)
        if not _names_host(server, shown.host):
            raise Unusable(
                f"its certificate is not for {shown.host}", "write the host name that it has, or trust it itself"
            )

    def _check_revoked(self, chain: Sequence[x509.Certificate]) -> None:
        lists = list(_lists(self._revoked))
        for certificate, issuer in pairwise(chain):
            for each in lists:
                if each.issuer != issuer.subject or not each.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]  # it is a key that can issue
                    continue
                if each.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                    raise Unusable(f"the certificate of {_name(certificate)} was revoked", "give it another one")

    def _reject(self, certificate: x509.Certificate) -> None:
        """Keep it, so that a person can look at it and trust it. That it cannot be kept is not worth more trouble."""
        try:
            self._write(self._rejected, certificate)
            kept = sorted(self._rejected.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            for path in kept[:-REJECTED_MAX]:
                path.unlink(missing_ok=True)
        except (OSError, Unusable):
            return

    def _write(self, folder: Path, certificate: x509.Certificate) -> Path:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", _name(certificate)).strip("-.")[:40]
        path = folder / f"{readable or 'server'}-{thumbprint(certificate)}.der"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(certificate.public_bytes(Encoding.DER))
        except OSError as error:
            raise Unusable(f"cannot write {path} ({error.strerror})", "use sudo") from error
        return path

    def _matching(self, folder: Path, thumb: str) -> list[Path]:
        return [path for each, path in _certificates(folder) if thumbprint(each) == thumb]


def _entry(state: State, certificate: x509.Certificate, path: Path) -> Entry:
    uris = alternatives(certificate).get_values_for_type(x509.UniformResourceIdentifier)
    ends = certificate.not_valid_after_utc
    return Entry(state, thumbprint(certificate), _name(certificate), ", ".join(uris), ends, path)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Unusable(f"cannot read {folder} ({error.strerror})", "let wardgate read it") from error


def _certificates(folder: Path) -> Iterator[tuple[x509.Certificate, Path]]:
    """Every certificate on file. One file that is something else must not cost the trust in the others."""
    for path in _files(folder):
        try:
            yield parse(path.read_bytes(), path), path
        except (OSError, Unusable):
            continue


def _lists(folder: Path) -> Iterator[x509.CertificateRevocationList]:
    """Revocation lists. Here a file that cannot be read must not be overlooked. Raises `Unusable`."""
    for path in _files(folder):
        try:
            content = path.read_bytes()
            yield (x509.load_pem_x509_crl if b"-----BEGIN" in content else x509.load_der_x509_crl)(content)
        except (OSError, ValueError) as error:
            raise Unusable(f"{path} is not a revocation list", "replace or remove the file") from error


def _check_key(certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except (ValueError, NotImplementedError) as error:
        raise Unusable("the key in its certificate cannot be read", "give the server another certificate") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        what = f"the key in its certificate is weaker than RSA {KEY_BITS_MIN}"
        raise Unusable(what, "give the server another certificate")


def _check_time(certificate: x509.Certificate, wall: float) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begin.timestamp() - SKEW_S_MAX <= wall <= end.timestamp() + SKEW_S_MAX:
        return
    now = datetime.fromtimestamp(wall, UTC)
    what = f"its certificate is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, and now is {now:%Y-%m-%d}"
    raise Unusable(what, "renew the server's certificate, or set the clock of this gateway")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


_BUILDER = PolicyBuilder().extension_policies(
    ca_policy=ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None),
    ee_policy=ExtensionPolicy.permit_all(),
)


def _verified(
    server: x509.Certificate, issuers: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], wall: float
) -> Sequence[x509.Certificate] | None:
    """The chain from the server to an authority that we trust, `None` where there is none."""
    if not authorities or not _may_serve(server):
        return None
    verifier = _BUILDER.store(Store(list(authorities))).time(datetime.fromtimestamp(wall, UTC)).build_client_verifier()
    try:
        return verifier.verify(server, list(issuers)).chain
    except VerificationError:
        return None


def _may_serve(certificate: x509.Certificate) -> bool:
    """Whether the authority meant it for a server; one that says nothing of it may be anything."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usages


def _names_host(certificate: x509.Certificate, host: str) -> bool:
    names = alternatives(certificate)
    if host.lower() in {name.lower() for name in names.get_values_for_type(x509.DNSName)}:
        return True
    try:
        return ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        return False


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else "without a name"
