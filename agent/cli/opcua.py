"""`wardgate opcua`: the gateway's certificate, and which OPC UA servers it trusts. Works on files, with or without a
daemon: a running one sees at its next connection what was trusted.
"""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, gateway_home
from agent.cli.words import Words
from agent.control.client import NotDone, UnknownName

if TYPE_CHECKING:
    from drivers.opcua.trust import Entry, TrustList

app = typer.Typer(
    help="The gateway's certificate for OPC UA, and which servers it trusts.",
    epilog="Example: wardgate opcua trust list",
)
trust = typer.Typer(help="Which OPC UA servers are trusted, and which were refused for want of trust.")
app.add_typer(trust, name="trust")

THUMB_LENGTH_MIN = 8


class CertificateView(msgspec.Struct, frozen=True):
    """A certificate as `--json` shows it."""

    state: str
    thumbprint: str
    name: str
    uri: str
    ends: str
    path: str


@app.command(epilog="Example: wardgate opcua certificate")
def certificate(lang: Lang, config: ConfigDir = ETC, as_json: AsJson = False) -> None:
    """The gateway's own certificate, which a server has to trust; made now if there is none yet."""
    from drivers.opcua import identity

    gateway, state = gateway_home(config)
    where = identity.folder(state)
    try:
        found = identity.own(where, gateway, time.time())
    except identity.Unusable as error:
        raise NotDone(error.what, error.hint) from error
    ends = found.certificate.not_valid_after_utc.isoformat(timespec="seconds")
    path = str(where / identity.CERTIFICATE)
    _show([CertificateView("own", found.thumbprint, f"wardgate {gateway}", found.uri, ends, path)], lang, as_json)


@trust.command("list", epilog="Example: wardgate opcua trust list")
def list_(lang: Lang, config: ConfigDir = ETC, as_json: AsJson = False) -> None:
    """Every certificate that is trusted, then those that were refused."""
    _show([_view(entry) for entry in _trust_list(config).entries()], lang, as_json)


Certificate = Annotated[
    str, typer.Argument(metavar="THUMBPRINT|FILE", help="The first 8 digits or more, or a certificate as PEM or DER.")
]


@trust.command(epilog="Example: wardgate opcua trust add 1A2B3C4D")
def add(lang: Lang, certificate: Certificate, config: ConfigDir = ETC, as_json: AsJson = False) -> None:
    """Trust a server that was refused, or the server or authority whose certificate is in a file."""
    from drivers.opcua import identity

    known = _trust_list(config)
    path = Path(certificate)
    if not path.is_file():
        path = _entry(known, certificate).path
    try:
        entry = known.add(identity.parse(path.read_bytes(), path))
    except identity.Unusable as error:
        raise NotDone(error.what, error.hint) from error
    _show([_view(entry)], lang, as_json)


@trust.command(epilog="Example: wardgate opcua trust remove 1A2B3C4D")
def remove(
    lang: Lang,
    certificate: Annotated[str, typer.Argument(metavar="THUMBPRINT", help="The first 8 digits or more.")],
    config: ConfigDir = ETC,
    as_json: AsJson = False,
) -> None:
    """Trust a server no more, or forget one that was refused. A connection that is open stays so until it ends."""
    from drivers.opcua.identity import Unusable

    known = _trust_list(config)
    entry = _entry(known, certificate)
    try:
        known.remove(entry.thumbprint)
    except Unusable as error:
        raise NotDone(error.what, error.hint) from error
    _show([_view(entry)], lang, as_json)


def _trust_list(config: Path) -> "TrustList":
    from drivers.opcua.trust import TrustList

    return TrustList(gateway_home(config)[1])


def _entry(known: "TrustList", thumb: str) -> "Entry":
    wanted = re.sub(r"[^0-9A-F]", "", thumb.upper())
    entries = known.entries()
    found = {each.thumbprint: each for each in entries if each.thumbprint.startswith(wanted)}
    if len(wanted) < THUMB_LENGTH_MIN or len(found) != 1:
        what = f"{len(found) or 'no'} certificates begin with {thumb!r}" if wanted else f"no file {thumb!r}"
        raise UnknownName(what, "see `wardgate opcua trust list`, and write 8 digits or more")
    return next(iter(found.values()))


def _view(entry: "Entry") -> CertificateView:
    ends = entry.ends.isoformat(timespec="seconds")
    return CertificateView(entry.state, entry.thumbprint, entry.name, entry.uri, ends, str(entry.path))


def _show(views: list[CertificateView], lang: str, as_json: bool) -> None:
    if as_json:
        show.json(views)
        return
    words = Words("zh" if lang == "zh" else "en")
    headings = [words(word) for word in ("state", "thumbprint", "name", "application", "valid until", "file")]
    show.table(
        headings,
        [[words(one.state), one.thumbprint, one.name, one.uri, one.ends[:10], one.path] for one in views],
    )
