"""Where the parts of a gateway are, and which of their files may lie in a backup as they are.

The files are read alone and are not judged: a configuration with a mistake must be as easy to back up as any other.
What is not known to be harmless is a secret.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509

from agent.control.client import NotDone
from config.document import Document
from config.files import GatewaySpec, JournalSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG, STATE, ELSEWHERE, JOURNAL = "config", "state", "elsewhere", "journal/journal.db"
"""The parts of a backup: how the names in it begin, and the name of the journal."""

ETC = Path("/etc/wardgate")
DROP_INS = Path("/etc/systemd/system/wardgate.service.d")
JOURNAL_NAMES = "journal."
"""How the names of the journal's own files begin, wherever its folder is."""

LOCK = ".lock"
REPLACED = ".replaced-"
"""In the name of what a restore has moved aside."""

PLAIN = re.compile(
    r"config/(gateway|lines)\.yaml|config/(devices|alarms|profiles|points|rule-tests)/.*\.(yaml|csv)|config/\w+\.schema\.json"
    r"|state/configurations/.*\.zip|state/modbus/.*\.json"
)
"""What a secret is not allowed in, or does not get into: configuration, those that ran, what devices have taught."""

CERTIFICATE_BYTES_MAX = 1_000_000

_CERTIFICATE_KEYS = frozenset({"ca", "cert", "user_cert"})
_LOAD_CREDENTIAL = re.compile(r"^\s*LoadCredential=([^:\s]+):(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a configuration says of a secret or a certificate: that it is in a file, a credential or a variable."""

    kind: Literal["file", "certificate", "credential", "env"]
    name: str


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one gateway as they are on this machine; `root` is what its absolute paths begin at."""

    config: Path
    state: Path
    journal: Path
    site: str
    gateway: str
    root: Path = Path("/")

    @classmethod
    def of(cls, config: Path, root: Path, content: bytes) -> Places:
        """As a `gateway.yaml` with this content in the folder `config` says. Raises `NotDone`."""
        document = Document("gateway.yaml", content)
        data = document.data
        if not isinstance(data, dict):
            raise NotDone(f"{config / document.name} cannot be used", f"see `wardgate check --config {config}`")
        journal = data.get("journal")
        path = journal.get("path") if isinstance(journal, dict) else None
        state = data.get("state", GatewaySpec.model_fields["state"].default)
        here = below(root, config.absolute())
        return cls(
            here,
            _absolute(here, str(state), root),
            _absolute(here, path if isinstance(path, str) else str(JournalSpec().path), root),
            str(data.get("site", "")),
            str(data.get("gateway", "")),
            root,
        )

    def is_standard(self) -> bool:
        """Whether this is the installed service, and not a folder that somebody runs."""
        return self.config == below(self.root, ETC)

    def resolve(self, name: str) -> Path:
        """A path as the configuration writes it."""
        return _absolute(self.config, name, self.root)


@dataclass(frozen=True, slots=True)
class Item:
    """A file, and what it is called in a backup."""

    path: Path
    name: str
    secret: bool


def below(root: Path, path: Path) -> Path:
    """An absolute path of a machine whose files are mounted at `root`."""
    return root / path.relative_to("/")


def read_places(config: Path, root: Path) -> Places:
    """Of the configuration that is there. Raises `NotDone`."""
    file = below(root, config.absolute()) / "gateway.yaml"
    try:
        return Places.of(config, root, file.read_bytes())
    except OSError as error:
        raise NotDone(f"cannot read {file} ({error.strerror})", "name the --config folder, or use sudo") from error


def items(places: Places) -> list[Item]:
    """Every file but the journal, by name. Raises `NotDone` where one cannot be read."""
    try:
        return _items(places)
    except OSError as error:
        raise NotDone(f"cannot read {error.filename} ({error.strerror})", "use sudo") from error


def _items(places: Places) -> list[Item]:
    referred = list(references(places))
    secret_files = {places.resolve(each.name) for each in referred if each.kind == "file"}
    credentials = _credentials(places)
    found = {path: f"{CONFIG}/{path.relative_to(places.config)}" for path in own_files(places)}
    found |= {path: f"{STATE}/{path.relative_to(places.state)}" for path in state_files(places) if path not in found}
    wanted = [places.resolve(each.name) for each in referred if each.kind in {"file", "certificate"}]
    wanted += [credentials[each.name] for each in referred if each.name in credentials]
    wanted += _drop_ins(places)
    for path in wanted:
        if path not in found and path.is_file():
            found[path] = f"{ELSEWHERE}/{path.relative_to(places.root)}"
    return [
        Item(path, name, secret=path in secret_files or not _is_plain(path, name))
        for path, name in sorted(found.items(), key=lambda each: each[1])
    ]


def missing(places: Places) -> list[str]:
    """What the configuration needs and no backup can hold, as a person wrote it."""
    credentials = _credentials(places)
    told = []
    for each in references(places):
        if each.kind == "env" or (each.kind == "credential" and each.name not in credentials):
            told.append(f"{each.kind}: {each.name}")
        elif each.kind in {"file", "certificate"} and not places.resolve(each.name).is_file():
            told.append(f"file: {each.name}")
    return sorted(set(told))


def own_files(places: Places) -> list[Path]:
    """Those of the configuration folder; what the daemon writes there is not of it."""
    return _files(places.config, places, [places.state, places.journal])


def state_files(places: Places) -> list[Path]:
    """What drivers and daemon keep: certificates, trust lists, configurations that ran. Links could lead anywhere."""
    found = _files(places.state, places, [places.config, places.journal])
    return [path for path in found if not path.is_symlink()]


def references(places: Places) -> Iterator[Reference]:
    """Each secret and certificate that the files name."""
    for name in ("gateway.yaml", "lines.yaml"):
        file = places.config / name
        if file.is_file():
            yield from _references(Document(name, file.read_bytes()).data)


def _references(data: Any) -> Iterator[Reference]:
    if isinstance(data, list):
        for each in data:
            yield from _references(each)
    elif isinstance(data, dict):
        for key, value in data.items():
            if key in {"file", "credential", "env"} and isinstance(value, str) and len(data) == 1:
                yield Reference(key, value)
            elif key in _CERTIFICATE_KEYS and isinstance(value, str):
                yield Reference("certificate", value)
            else:
                yield from _references(value)


def _drop_ins(places: Places) -> list[Path]:
    folder = below(places.root, DROP_INS)
    return sorted(folder.glob("*.conf")) if places.is_standard() else []


def _credentials(places: Places) -> dict[str, Path]:
    """The file of each credential that the service is given in the clear; one that is encrypted is bound to its box."""
    named = [pair for path in _drop_ins(places) for pair in _LOAD_CREDENTIAL.findall(path.read_text(errors="replace"))]
    found = {name: below(places.root, Path(path)) for name, path in named if path.startswith("/")}
    return {name: path for name, path in found.items() if path.is_file()}


def _files(folder: Path, places: Places, apart: list[Path]) -> list[Path]:
    left_out = [path for path in apart if path != folder and path.is_relative_to(folder)]
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(path.is_relative_to(other) for other in left_out)
        and path.name != LOCK
        and REPLACED not in str(path.relative_to(folder))
        and not (path.parent == places.journal and path.name.startswith(JOURNAL_NAMES))
    ]


def _is_plain(path: Path, name: str) -> bool:
    """Whether anybody may see it; what lies elsewhere is put back only where the passphrase proves where it is from."""
    if name.startswith(f"{ELSEWHERE}/"):
        return False
    if PLAIN.fullmatch(name):
        return True
    return path.stat().st_size <= CERTIFICATE_BYTES_MAX and _is_certificate(path.read_bytes())


def _is_certificate(content: bytes) -> bool:
    if b"PRIVATE KEY" in content:
        return False
    for read in (x509.load_pem_x509_certificates, x509.load_pem_x509_crl):
        with suppress(ValueError):
            read(content)
            return content.lstrip().startswith(b"-----BEGIN")
    for read_der in (x509.load_der_x509_certificate, x509.load_der_x509_crl):
        with suppress(ValueError):
            read_der(content)
            return True
    return False


def _absolute(config: Path, written: str, root: Path) -> Path:
    return below(root, Path(written)) if written.startswith("/") else (config / written).absolute()
