"""Where records go: SQLite, a file of JSON lines, or a pipe. What `store` has returned for is on the disk.

A sink also keeps what the account needs after a restart. SQLite does both in one transaction. Beside JSON lines there
is a state file, written now and then; what it does not know yet is read from the lines behind it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any, Protocol

from consumer import events
from consumer.account import Account
from consumer.events import Unreadable
from consumer.saved import Changes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from consumer.events import Event

STATE_EVERY_BYTES = 4_194_304
"""So much of the lines may have to be read again after a crash."""

BUSY_S_MAX = 10.0
FORMAT = 1


class SinkError(Exception):
    """What was received cannot be stored; what to do stands behind the semicolon."""


class Sink(Protocol):
    """`load` comes first, once."""

    def load(self) -> Changes:
        """What was saved. Raises `SinkError`."""

    def store(self, records: Sequence[Event], changes: Changes) -> None:
        """Returns when all of it would survive a power cut. Raises `SinkError`."""

    def close(self) -> None: ...


_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    gateway TEXT NOT NULL,
    epoch TEXT NOT NULL,
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    time TEXT NOT NULL,
    recordedtime TEXT NOT NULL,
    subject TEXT NOT NULL,
    test INTEGER NOT NULL,
    topic TEXT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (source, id)
);
CREATE INDEX IF NOT EXISTS events_time ON events (time);
CREATE TABLE IF NOT EXISTS alarms (
    gateway TEXT NOT NULL,
    alarm_id TEXT NOT NULL,
    occurrence_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    state TEXT NOT NULL,
    ended INTEGER NOT NULL,
    colour TEXT NOT NULL,
    test INTEGER NOT NULL,
    since TEXT NOT NULL,
    zh TEXT NOT NULL,
    en TEXT NOT NULL,
    as_of TEXT NOT NULL,
    PRIMARY KEY (gateway, alarm_id)
);
CREATE TABLE IF NOT EXISTS account (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
);
"""
_EVENT_COLUMNS = 13
_ALARM_COLUMNS = (
    "gateway",
    "alarm_id",
    "occurrence_id",
    "n",
    "state",
    "ended",
    "colour",
    "test",
    "since",
    "zh",
    "en",
    "as_of",
)


class SqliteSink:
    """Tables `events` (each once, whatever comes twice), `alarms` (as they stand) and `account`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # One caller at a time, but not always the thread that made it.
            self._database = sqlite3.connect(path, BUSY_S_MAX, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._database.row_factory = sqlite3.Row

    def load(self) -> Changes:
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)
            self._claim()
            return self._saved()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def store(self, records: Sequence[Event], changes: Changes) -> None:
        if not records and not changes:
            return
        try:
            with closing(self._database.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    _write(cursor, records, changes)
                except BaseException:
                    cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def close(self) -> None:
        self._database.close()

    def _claim(self) -> None:
        """A file of another format must not be written into."""
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, FORMAT}:
            raise SinkError(f"{self._path} was written by another version of this program; name another file")
        self._database.execute(f"PRAGMA user_version = {FORMAT}")

    def _saved(self) -> Changes:
        saved = Changes()
        for kind, key, value in self._database.execute("SELECT kind, key, value FROM account"):
            row = json.loads(value)
            if kind == "lane":
                saved.lanes[row["source"], row["epoch"], row["stream"]] = row
            else:
                saved.gateways[key] = row
        for alarm in self._database.execute("SELECT * FROM alarms"):
            row = dict(alarm) | {"as_of": json.loads(alarm["as_of"])}
            row |= {"ended": bool(row["ended"]), "test": bool(row["test"])}
            saved.alarms[row["gateway"], row["alarm_id"]] = row
        return saved

    def _failed(self, error: sqlite3.Error) -> SinkError:
        return SinkError(f"cannot store in {self._path} ({error}); check the path, its rights and the free space")


def _write(cursor: sqlite3.Cursor, records: Sequence[Event], changes: Changes) -> None:
    cursor.executemany(
        f"INSERT OR IGNORE INTO events VALUES ({_places(_EVENT_COLUMNS)})",  # noqa: S608  # a number of question marks
        map(_event_row, records),
    )
    cursor.executemany(
        f"INSERT OR REPLACE INTO alarms VALUES ({_places(len(_ALARM_COLUMNS))})",  # noqa: S608  # see above
        [[_cell(row[column]) for column in _ALARM_COLUMNS] for row in changes.alarms.values()],
    )
    rows = [("lane", _json(key), _json(row)) for key, row in changes.lanes.items()]
    rows += [("gateway", key, _json(row)) for key, row in changes.gateways.items()]
    cursor.executemany("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", rows)


def _event_row(event: Event) -> tuple[object, ...]:
    assert event.lane is not None, "only records are stored"
    lane = event.lane
    head = (event.source, event.id, event.gateway, lane.epoch, lane.stream, event.sequence, event.type)
    return (*head, event.time, event.recorded, event.subject, event.test, event.topic, event.payload.decode())


def _places(count: int) -> str:
    return ", ".join("?" * count)


def _cell(value: object) -> object:
    return _json(value) if isinstance(value, dict) else value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class JsonLinesSink:
    """One record a line: its topic and the event as it came. The account is in `FILE.state`."""

    def __init__(self, path: Path, root: str = events.ROOT) -> None:
        self._path = path
        self._root = root
        self._state_path = path.with_name(path.name + ".state")
        try:
            self._file = path.open("ab+")
        except OSError as error:
            raise self._failed(error) from error
        self._memory = Changes()
        self._saved_to = 0
        self._loaded = False

    def load(self) -> Changes:
        try:
            self._remember(self._state())
            self._catch_up()
        except OSError as error:
            raise self._failed(error) from error
        self._loaded = True
        return self._memory

    def store(self, records: Sequence[Event], changes: Changes) -> None:
        self._memory.update(changes)
        if not records:
            return
        try:
            self._file.write(b"".join(map(_line, records)))
            self._file.flush()
            os.fdatasync(self._file.fileno())
            if self._file.tell() - self._saved_to > STATE_EVERY_BYTES:
                self._save()
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        try:
            if self._loaded:
                self._save()
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._file.close()

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads(self._state_path.read_bytes())
            written = state["format"]
        except FileNotFoundError:
            return {"bytes": 0, "lanes": [], "gateways": [], "alarms": []}
        except (ValueError, KeyError, TypeError) as error:
            raise SinkError(
                f"{self._state_path} is damaged ({error}); remove it, and it is made anew from {self._path}"
            ) from error
        if written != FORMAT:
            raise SinkError(f"{self._state_path} was written by another version of this program; name another file")
        return dict(state)

    def _remember(self, state: dict[str, Any]) -> None:
        self._saved_to = state["bytes"]
        self._memory = Changes(
            {(row["source"], row["epoch"], row["stream"]): row for row in state["lanes"]},
            {row["source"]: row for row in state["gateways"]},
            {(row["gateway"], row["alarm_id"]): row for row in state["alarms"]},
        )

    def _catch_up(self) -> None:
        """Cut off a line that a crash tore, and account for what the state file does not know."""
        account = Account(self._memory)
        self._file.seek(self._saved_to)
        whole = self._saved_to
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            account.take(self._event(line))
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)
        self._memory.update(account.changes())

    def _event(self, line: bytes) -> Event:
        try:
            row = json.loads(line)
            return events.read(row["topic"], _json(row["event"]).encode(), self._root)
        except (ValueError, KeyError, TypeError, Unreadable) as error:
            raise SinkError(f"{self._path} holds a line that is none of ours ({error}); name another file") from error

    def _save(self) -> None:
        """Beside it and then over it: there is always a whole one."""
        size = self._file.tell()
        memory = self._memory
        state = {
            "format": FORMAT,
            "bytes": size,
            "lanes": list(memory.lanes.values()),
            "gateways": list(memory.gateways.values()),
            "alarms": list(memory.alarms.values()),
        }
        beside = self._state_path.with_name(self._state_path.name + ".new")
        with beside.open("wb") as file:
            file.write(_json(state).encode())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._state_path)
        self._saved_to = size

    def _failed(self, error: OSError) -> SinkError:
        what = error.strerror or str(error)
        return SinkError(f"cannot store in {self._path} ({what}); check the path, its rights and the free space")


def _line(event: Event) -> bytes:
    return b'{"topic":%b,"event":%b}\n' % (_json(event.topic).encode(), event.payload.replace(b"\n", b" "))


class PipeSink:
    """One event a line into whatever is open; nothing is kept, so a restart begins anew."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def load(self) -> Changes:
        return Changes()

    def store(self, records: Sequence[Event], changes: Changes) -> None:  # noqa: ARG002  # nothing is kept
        self._file.write(b"".join(map(_line, records)))
        self._file.flush()

    def close(self) -> None:
        """Whoever opened it closes it."""


class NoSink:
    """Keeps nothing: for a look at what is complete."""

    def load(self) -> Changes:
        return Changes()

    def store(self, records: Sequence[Event], changes: Changes) -> None:
        """Counted by the account, and that is all."""

    def close(self) -> None:
        """Nothing is open."""
