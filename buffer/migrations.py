"""The schema of the journal and how it came to be. Nothing here reads or writes records.

Migrations only ever expand (new tables, new columns with a default, new indexes), so that after a rollback of the
software the older release still reads the journal. One that older releases cannot live with raises `min_reader` in
`meta`; a release whose `READER` is below that refuses the file.

    meta    `min_reader`; `renew` where the next start must begin a new epoch, because this file is a copy
    epoch   one row for each; the newest is the one that is written; not `durable` where it could be read before that
    lane    one stream in one epoch: the next sequence, and the totals of what is kept
    chunk   the records (see `buffer.chunk`); sequences `first_seq` to `last_seq`, both included
    cursor  how far one uplink is with one lane
    loss    one open range for each cursor, lane and reason
    state   the pipeline's own state, stored with the records that it belongs to
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlite_utils import Database, Migrations

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x57415244
"""Marks a file as ours; `file` and other tools show it."""

READER = 3
"""What this release can read."""

migrations = Migrations("wardgate.journal")

SCHEMA_1 = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('min_reader', 1)",
    "CREATE TABLE epoch (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, begun_ms INTEGER NOT NULL)",
    """CREATE TABLE lane (
        id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL REFERENCES epoch (id), stream TEXT NOT NULL,
        next_seq INTEGER NOT NULL, records INTEGER NOT NULL, raw_bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL,
        UNIQUE (epoch, stream))""",
    """CREATE TABLE chunk (
        id INTEGER PRIMARY KEY, lane INTEGER NOT NULL REFERENCES lane (id),
        first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, recorded_ms INTEGER NOT NULL,
        time_min_ms INTEGER NOT NULL, time_max_ms INTEGER NOT NULL, raw_bytes INTEGER NOT NULL, blob BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX chunk_range ON chunk (lane, last_seq, first_seq)",
    """CREATE TABLE cursor (
        name TEXT NOT NULL, lane INTEGER NOT NULL REFERENCES lane (id), low INTEGER NOT NULL, spans BLOB NOT NULL,
        PRIMARY KEY (name, lane)) WITHOUT ROWID""",
    """CREATE TABLE loss (
        cursor TEXT NOT NULL, lane INTEGER NOT NULL REFERENCES lane (id), reason TEXT NOT NULL,
        first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, records INTEGER NOT NULL,
        PRIMARY KEY (cursor, lane, reason)) WITHOUT ROWID""",
    "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
)


@migrations()
def first(db: Database) -> None:
    for statement in SCHEMA_1:
        db.conn.execute(statement)


SCHEMA_COUNTS = (
    "ALTER TABLE cursor ADD COLUMN sent INTEGER",
    "ALTER TABLE cursor ADD COLUMN counts BLOB",
    "UPDATE meta SET value = 2 WHERE key = 'min_reader'",
)
"""How much of what is settled was sent. A release that does not know it would let the account go wrong."""


@migrations()
def counts(db: Database) -> None:
    for statement in SCHEMA_COUNTS:
        db.conn.execute(statement)


SCHEMA_3 = (
    "ALTER TABLE epoch ADD COLUMN durable INTEGER NOT NULL DEFAULT 1",
    "CREATE INDEX chunk_time ON chunk (lane, time_max_ms, time_min_ms)",
)
"""Volatile epochs, and history by time. An older release takes the first for durable and does without the second."""

SCHEMA_DICTIONARY = ("UPDATE meta SET value = 3 WHERE key = 'min_reader'",)
"""Chunks are compressed with a dictionary, without which a release would take all of them for damaged."""


COLUMNS = {
    "epoch": ("id", "name", "begun_ms", "durable"),
    "lane": ("id", "epoch", "stream", "next_seq", "records", "raw_bytes", "stored_bytes"),
    "cursor": ("name", "lane", "low", "spans", "sent", "counts"),
    "loss": ("cursor", "lane", "reason", "first_seq", "last_seq", "records"),
    "state": ("key", "value"),
    "chunk": ("id", "lane", "first_seq", "last_seq", "recorded_ms", "time_min_ms", "time_max_ms", "raw_bytes", "blob"),
}
"""What is there at least after all migrations."""

ADDED = frozenset({"durable", "sent", "counts"})
"""Not there in the first release."""


@migrations()
def third(db: Database) -> None:
    for statement in SCHEMA_3:
        db.conn.execute(statement)


@migrations()
def dictionary(db: Database) -> None:
    for statement in SCHEMA_DICTIONARY:
        db.conn.execute(statement)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file up to this release in one transaction, so a crash leaves either nothing or all of it."""
    db = Database(connection)
    if migrations.pending(db):  # An opening that only looks must not write.
        with db.atomic():
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrations.apply(db)
    for table, columns in COLUMNS.items():  # A bit of the schema may be another one than it was.
        connection.execute(f"SELECT {', '.join(columns)} FROM {table} LIMIT 0")  # noqa: S608 - names from above
