"""Which certificates of servers are taken: pure files, no network."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from opcua_certificates import DAY, certificate, revoking

from drivers.opcua.identity import Unusable, thumbprint
from drivers.opcua.trust import REJECTED_MAX, Shown, TrustList

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

URI = "urn:server"
HOST = "10.20.30.40"


def server(**fields: Any) -> x509.Certificate:
    return certificate("plc", **{"uri": URI, "host": HOST, **fields})


def check(state: Path, *chain: x509.Certificate, uri: str = URI, host: str = HOST) -> None:
    TrustList(state).check(Shown(chain, uri, host), datetime.now(UTC).timestamp())


def test_9_the_server_certificate_is_always_validated(tmp_path: Path) -> None:
    """What is trusted is exactly this certificate; the same name and key in another one is not."""
    known = server()
    with pytest.raises(Unusable, match="not trusted"):
        check(tmp_path, known)
    TrustList(tmp_path).add(known)
    check(tmp_path, known)
    with pytest.raises(Unusable, match="not trusted"):
        check(tmp_path, server())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"end": -timedelta(hours=1)}, r"valid from .* to .* now is .*; renew"),
        ({"begin": timedelta(hours=1)}, "set the clock of this gateway"),
        ({"uri": "urn:other"}, "calls itself urn:server, its certificate says urn:other"),
        ({"uri": None}, "its certificate says nothing"),
        ({"bits": 1024}, "weaker than RSA 2048"),
    ],
)
def test_9_a_trusted_certificate_that_is_wrong_is_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    """Trust does not make up for an end that has passed, another application's name or a weak key."""
    wrong = certificate("weak", **{"uri": URI, "host": HOST, **fields}) if "bits" in fields else server(**fields)
    TrustList(tmp_path).add(wrong)
    with pytest.raises(Unusable, match=said):
        check(tmp_path, wrong)


def test_9_a_server_of_a_trusted_authority(tmp_path: Path) -> None:
    """Its certificate need not be on file, but has to name the host that we called."""
    authority = certificate("authority", authority=True)
    issued = server(issuer="authority")
    with pytest.raises(Unusable, match="not trusted"):
        check(tmp_path, issued, authority)
    TrustList(tmp_path).add(authority)
    check(tmp_path, issued)
    with pytest.raises(Unusable, match=r"not for 10\.0\.0\.1"):
        check(tmp_path, issued, host="10.0.0.1")


def test_9_a_chain_over_an_issuer_in_between(tmp_path: Path) -> None:
    """The server sends who issued its certificate; only the root has to be trusted."""
    TrustList(tmp_path).add(certificate("root", authority=True))
    between = certificate("between", issuer="root", authority=True)
    check(tmp_path, server(issuer="between"), between)
    with pytest.raises(Unusable, match="not trusted"):
        check(tmp_path, server(issuer="between"))


def test_9_a_trusted_server_is_no_authority(tmp_path: Path) -> None:
    """What a trusted server signed is not trusted because of that."""
    TrustList(tmp_path).add(server())
    with pytest.raises(Unusable, match="not trusted"):
        check(tmp_path, certificate("other", uri=URI, host=HOST, issuer="plc"))


def test_9_a_revoked_certificate_is_refused(tmp_path: Path) -> None:
    """By a list that the authority itself signed; a forged one revokes nothing, a file of garbage stops everything."""
    authority, issued = certificate("authority", authority=True), server(issuer="authority")
    TrustList(tmp_path).add(authority)
    folder = tmp_path / "opcua" / "revoked"
    folder.mkdir()
    file = folder / "authority.crl"
    file.write_bytes(revoking("authority", issued, signed_by="forger").public_bytes(Encoding.DER))
    check(tmp_path, issued)
    file.write_bytes(revoking("authority", issued).public_bytes(Encoding.PEM))
    with pytest.raises(Unusable, match="plc was revoked"):
        check(tmp_path, issued)
    file.write_bytes(b"garbage")
    with pytest.raises(Unusable, match="not a revocation list"):
        check(tmp_path, issued)


def test_9_the_rejected_folder_is_bounded(tmp_path: Path) -> None:
    """Whoever shows ever new certificates does not fill the disk; the newest is there to be trusted."""
    folder = tmp_path / "opcua" / "rejected"
    folder.mkdir(parents=True)
    for number in range(REJECTED_MAX + 20):
        (folder / f"{number}.der").touch()
        os.utime(folder / f"{number}.der", (number, number))
    shown = server()
    with pytest.raises(Unusable):
        check(tmp_path, shown)
    assert len(list(folder.iterdir())) == REJECTED_MAX
    assert [entry.thumbprint for entry in TrustList(tmp_path).entries()] == [thumbprint(shown)]


def test_9_a_stray_file_among_the_trusted_costs_nothing(tmp_path: Path) -> None:
    """A note that somebody left there, and a certificate in PEM form under any name."""
    known = server()
    folder = tmp_path / "opcua" / "trusted"
    folder.mkdir(parents=True)
    (folder / "README.txt").write_text("the panel of OR 1", encoding="utf-8")
    (folder / "panel").write_bytes(known.public_bytes(Encoding.PEM))
    check(tmp_path, known)


def test_9_removed_is_trusted_no_more(tmp_path: Path) -> None:
    """By its thumbprint, wherever it is on file."""
    known = server(end=DAY)
    trust = TrustList(tmp_path)
    trust.add(known)
    assert len(trust.remove(thumbprint(known))) == 1
    with pytest.raises(Unusable, match="not trusted"):
        check(tmp_path, known)
