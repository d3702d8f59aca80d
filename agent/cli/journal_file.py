"""Verbs of `wardgate journal` that work on its file: backup, restore, verify, export. Slow to import."""

from __future__ import annotations

import csv
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from agent.control.client import DaemonAbsent, NotDone
from agent.envelope import Origin, splice
from agent.events import TELEMETRY_BATCH, rfc3339
from agent.history import StoredBatch
from buffer.archive import CHECK_S, copy_unused, is_in_use, past, restore, verify
from buffer.database import DATABASE
from buffer.errors import JournalError
from config.document import Document
from config.files import GatewaySpec, JournalSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agent.control.client import Client
    from buffer.archive import Verdict
    from buffer.reader import Damaged
    from buffer.record import Record


class _Event(msgspec.Struct):
    type: str
    subject: str
    data: msgspec.Raw


COLUMNS = (
    "time",
    "recorded",
    "stream",
    "epoch",
    "sequence",
    "durable",
    "type",
    "subject",
    "point",
    "value",
    "quality",
    "reason",
    "data",
)


class Place:
    """Where the journal of a configuration is, and who writes it. Raises `NotDone`."""

    def __init__(self, config: Path) -> None:
        file = config / "gateway.yaml"
        try:
            data = Document(file.name, file.read_bytes()).data
        except OSError as error:
            raise NotDone(f"cannot read {file} ({error.strerror})", "name the --config folder, or use sudo") from error
        if not isinstance(data, dict):
            raise NotDone(f"{file} cannot be used", f"see `wardgate check --config {config}`")
        journal = data.get("journal")
        path = journal.get("path") if isinstance(journal, dict) else None
        self.folder = config / (path if isinstance(path, str) else JournalSpec().path)
        self.file = self.folder / DATABASE
        defaults = GatewaySpec(site="h01", gateway="gw-1")
        self.origin = Origin(
            str(data.get("site", "")),
            str(data.get("gateway", "")),
            str(data.get("topic_root", defaults.topic_root)),
            str(data.get("type_prefix", defaults.type_prefix)),
        )


def back_up(place: Place, daemon: Client, to: Path) -> None:
    """Through the daemon where one runs, so that its write-ahead log stays small; otherwise from the file."""
    try:
        daemon.backup(to)
    except DaemonAbsent:
        try:
            copy_unused(place.folder, to)
        except JournalError as error:
            raise NotDone(error.what, error.hint) from error


def put_back(place: Place, file: Path) -> Path | None:
    try:
        return restore(place.folder, file, time.time())
    except JournalError as error:
        raise NotDone(error.what, error.hint) from error


def examine(place: Place, copy: Path | None, *, full: bool) -> Verdict:
    try:
        if full and copy is None and is_in_use(place.folder):
            raise NotDone(
                "a daemon uses this journal, and to read all of it at once would hold it up",
                "stop it, or make a copy with `wardgate journal backup` and verify that",
            )
        return verify(copy or place.file, None if full else CHECK_S)
    except JournalError as error:
        raise NotDone(error.what, error.hint) from error


def export(place: Place, streams: Sequence[str], from_s: float, to_s: float, form: str) -> None:
    """To standard output, each stream by time. Raises `NotDone`, at the end where something had to be left out."""
    damaged: list[Damaged] = []
    records = past(place.file, streams, round(from_s * 1000), round(to_s * 1000), damaged.append)
    try:
        if form == "csv":
            writer = csv.writer(sys.stdout)
            writer.writerow(COLUMNS)
            writer.writerows(row for record in records for row in _rows(record))
        else:
            for record in records:
                sys.stdout.write(splice(record, place.origin).decode() + "\n")
    except JournalError as error:
        raise NotDone(error.what, error.hint) from error
    if damaged:
        raise NotDone(f"{len(damaged)} damaged chunks were left out", "see `wardgate journal verify`")


def _rows(record: Record) -> Iterator[list[object]]:
    event = msgspec.json.decode(record.body, type=_Event)
    head = [
        _rfc3339(record.recorded_ms),
        record.stream,
        record.epoch,
        record.sequence,
        str(record.durable).lower(),
        event.type,
        event.subject,
    ]
    if event.type != TELEMETRY_BATCH:
        yield [_rfc3339(record.time_ms), *head, "", "", "", "", bytes(event.data).decode()]
        return
    for sample in msgspec.json.decode(event.data, type=StoredBatch).samples:
        yield [_rfc3339(record.time_ms + sample.dt), *head, sample.p, sample.v, sample.q, sample.qr, ""]


def _rfc3339(time_ms: int) -> str:
    return rfc3339(time_ms / 1000)
