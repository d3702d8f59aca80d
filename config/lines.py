"""`lines.yaml` to lines that devices can be put on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.catalog import find_protocol
from config.checks import check_soles
from config.fields import KeySpec, SecretSpec
from config.files import LinesFile, LineSpec
from config.layers import Layer, Source
from config.model import Line
from config.secrets import check_secret, secret_of
from config.texts import named
from config.validate import validate
from config.wording import near

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from config.document import Document
    from config.files import Protocol
    from config.model import Device, Home
    from config.validate import Report


@dataclass(frozen=True, slots=True)
class LineEntry:
    """A line as written. Without `protocol` or `spec` something was wrong with it, and told already."""

    id: str
    source: Source
    protocol_name: str
    protocol: Protocol | None
    spec: LineSpec | None

    def line(self, devices: Sequence[Device], home: Home) -> Line | None:
        if self.spec is None:
            return None
        return Line(
            id=self.id,
            name=named(self.spec.name, self.id),
            protocol=self.spec.protocol,
            spec=self.spec,
            devices=tuple(devices),
            timeout_s=self.spec.timeout,
            concurrency=self.spec.concurrency,
            home=home,
        )


def read_lines(
    document: Document, root: Path, protocols: Mapping[str, Protocol], report: Report
) -> dict[str, LineEntry]:
    """Every line of the file, also those with problems, so devices on them are still judged."""
    source = Source(document.data, (Layer(document),))
    validate(LinesFile, source, report)
    found = {name: _entry(name, part, protocols, report) for name, part in source.mappings("lines")}
    for one in found.values():
        _check_secrets(one, root, report)
    check_soles(((one.id, one.spec, one.source) for one in found.values() if one.spec), report)
    return found


def _check_secrets(entry: LineEntry, root: Path, report: Report) -> None:
    """Of whatever protocol: a password or a key is a reference everywhere."""
    for key, written in entry.spec or ():
        if isinstance(written, (SecretSpec, KeySpec)):
            check_secret(secret_of(written, root), entry.source, key, report)


def _entry(name: str, source: Source, protocols: Mapping[str, Protocol], report: Report) -> LineEntry:
    named_protocol = source.data.get("protocol")
    if not isinstance(named_protocol, str):
        message = "missing" if named_protocol is None else "not a text"
        report.refuse(source, ("protocol",), message, near("", protocols))
        return LineEntry(name, source, "", None, None)
    protocol = find_protocol(named_protocol, source, protocols, report)
    spec = validate(protocol.line, source, report) if protocol else None
    return LineEntry(name, source, named_protocol, protocol, spec)
