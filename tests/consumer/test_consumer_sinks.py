"""What was stored stays stored, once; what was torn is cut off; what cannot be stored is said."""

from __future__ import annotations

import io
import json
import resource
import signal
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from consumer_peer import BASE, SOURCE, alarm, begin, mark, read, record, snapshot, status, watermark

from consumer import sinks
from consumer.account import Account
from consumer.events import Lane
from consumer.report import report
from consumer.saved import Changes
from consumer.sinks import JsonLinesSink, NoSink, PipeSink, Sink, SinkError, SqliteSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[[Path], Sink]

TOPIC = BASE + "telemetry/pwr-lv/d"
STORY = [
    begin("telemetry", "e1", None, None),
    record("telemetry", 2),
    record("telemetry", 2),
    record("telemetry", 4),
    record("critical", 1, kind="alarm.transition", data=alarm("a", 1, 1)),
    record("critical", 2, kind="alarm.transition", data=alarm("b", 1, 1)),
    record("critical", 3, kind="alarm.transition", data=alarm("b", 1, 2, state="NORM", ended=True)),
    status(connection=7),
    snapshot(alarm("a", 1, 1), alarm("c", 4, 2), as_of={"critical": 3}),
    watermark(mark("telemetry", 4), mark("critical", 3)),
]


@pytest.fixture(params=[SqliteSink, JsonLinesSink])
def make(request: pytest.FixtureRequest) -> Make:
    """Both kinds of sink that remember."""
    kind: Make = request.param
    return kind


def feed(sink: Sink, payloads: list[bytes]) -> Account:
    """Each payload as a batch of its own."""
    account = Account(sink.load())
    for payload in payloads:
        event = read(payload, TOPIC)
        sink.store([event] if account.take(event) else [], account.changes())
    return account


def stored(path: Path) -> list[str]:
    """The ids in the file, in order."""
    if path.read_bytes()[:6] != b"SQLite":
        return [json.loads(line)["event"]["id"] for line in path.read_text(encoding="utf-8").splitlines()]
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT id FROM events ORDER BY rowid")]


def test_each_record_is_stored_once_and_the_account_survives(make: Make, tmp_path: Path) -> None:
    """Closed in order: the next run knows all that this one knew."""
    path = tmp_path / "events"
    with closing(make(path)) as sink:
        before = feed(sink, STORY)
    with closing(make(path)) as sink:
        after = feed(sink, [])
        assert report(after) == report(before)
        assert after.gateways[SOURCE].alarms.known == before.gateways[SOURCE].alarms.known
        assert after.gateways[SOURCE].alarms.snapshot_as_of == before.gateways[SOURCE].alarms.snapshot_as_of
        event = read(record("telemetry", 4), TOPIC)
        assert not after.take(event)
    assert [each.rpartition("-")[2].lstrip("0") for each in stored(path)] == ["1", "2", "4", "1", "2", "3"]


def test_what_was_stored_is_accounted_for_after_a_crash(make: Make, tmp_path: Path) -> None:
    """Without a farewell: the records are on the disk, and so is what follows from them."""
    path = tmp_path / "events"
    sink = make(path)
    before = feed(sink, STORY[:7])
    with closing(make(path)) as other:
        after = feed(other, [])
        ranges = {lane: list(account.received) for lane, account in after.lanes.items()}
        assert ranges == {lane: list(account.received) for lane, account in before.lanes.items()}
        assert after.gateways[SOURCE].epochs == {"e1": None}
        assert after.gateways[SOURCE].alarms.known == before.gateways[SOURCE].alarms.known
    sink.close()


def test_sqlite_says_what_an_operator_asks(tmp_path: Path) -> None:
    """Events by time and stream as they came, alarms as they stand."""
    path = tmp_path / "events.db"
    with closing(SqliteSink(path)) as sink:
        feed(sink, STORY)
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT topic, event FROM events WHERE stream = 'telemetry' AND sequence = 4")
        assert list(rows) == [(TOPIC, record("telemetry", 4).decode())]
        rows = database.execute("SELECT alarm_id, n, state, ended, zh FROM alarms ORDER BY alarm_id")
        assert list(rows) == [
            ("a", 1, "UNACK", 0, "氧气压力低"),
            ("b", 2, "NORM", 1, "氧气压力低"),
            ("c", 2, "UNACK", 0, "氧气压力低"),
        ]
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_sqlite_keeps_one_of_what_the_account_had_forgotten(tmp_path: Path) -> None:
    """The key of the table holds, whatever the account thinks."""
    path = tmp_path / "events.db"
    with closing(SqliteSink(path)) as sink:
        sink.load()
        for _ in range(2):
            sink.store([read(record("alarm", 1), TOPIC)], Changes())
    assert len(stored(path)) == 1


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events without their account would be called missing, an account without its events would lie."""
    path = tmp_path / "events.db"
    with closing(SqliteSink(path)) as sink:
        account = feed(sink, [record("alarm", 1)])
        event = read(record("alarm", 2), TOPIC)
        account.take(event)
        changes = account.changes()
        changes.lanes[SOURCE, "e1", "broken"] = {"unstorable": object()}
        with pytest.raises(TypeError):
            sink.store([event], changes)
        sink.store([], Changes({}, {}, {}))
    with closing(SqliteSink(path)) as sink:
        assert list(feed(sink, []).lanes[Lane(SOURCE, "e1", "alarm")].received) == [(1, 1)]
    assert len(stored(path)) == 1


def test_a_line_that_a_crash_tore_is_cut_off(tmp_path: Path) -> None:
    """Its record was not acknowledged, so it comes again; the file stays readable."""
    path = tmp_path / "events.jsonl"
    with closing(JsonLinesSink(path)) as sink:
        feed(sink, [record("alarm", 1)])
    with path.open("ab") as file:
        file.write(b'{"topic":"wardgate/v1/h01')
    with closing(JsonLinesSink(path)) as sink:
        account = feed(sink, [record("alarm", 2)])
    assert list(account.lanes[Lane(SOURCE, "e1", "alarm")].received) == [(1, 2)]
    assert len(stored(path)) == 2


def test_the_state_beside_the_lines_is_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash only the lines behind it are read again."""
    monkeypatch.setattr(sinks, "STATE_EVERY_BYTES", 600)
    path = tmp_path / "events.jsonl"
    sink = JsonLinesSink(path)
    feed(sink, [record("alarm", number) for number in range(1, 6)])
    state = json.loads((tmp_path / "events.jsonl.state").read_text())
    assert 600 < state["bytes"] < path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"what stands before is not read")
    with closing(JsonLinesSink(path)) as other:
        assert list(feed(other, []).lanes[Lane(SOURCE, "e1", "alarm")].received) == [(1, 5)]
    sink.close()


def test_without_its_state_the_file_alone_tells(tmp_path: Path) -> None:
    """All of it is read again."""
    path = tmp_path / "events.jsonl"
    with closing(JsonLinesSink(path)) as sink:
        feed(sink, STORY)
    (tmp_path / "events.jsonl.state").unlink()
    with closing(JsonLinesSink(path)) as sink:
        assert list(feed(sink, []).lanes[Lane(SOURCE, "e1", "telemetry")].received) == [(1, 2), (4, 4)]


def test_a_pipe_gets_each_record_as_a_line(tmp_path: Path) -> None:
    """For the next program; nothing is remembered."""
    out = io.BytesIO()
    feed(PipeSink(out), [record("alarm", 1), record("alarm", 1), record("alarm", 2)])
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["topic"], int(line["event"]["sequence"])) for line in lines] == [(TOPIC, 1), (TOPIC, 2)]
    assert not PipeSink(out).load()
    assert not NoSink().load()


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """As a full disk: writing beyond it fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_cannot_be_written_is_said_with_the_next_step(make: Make, tmp_path: Path) -> None:
    """And nothing of it counts as stored: the caller does not acknowledge it."""
    path = tmp_path / "events"
    sink = make(path)
    account = feed(sink, [record("alarm", 1)])
    event = read(record("alarm", 2, data={"filler": "x" * 200_000}), TOPIC)
    account.take(event)
    with (
        files_limited_to(path.stat().st_size + 100_000),
        pytest.raises(
            SinkError, match=r"cannot store in .*/events \(.*\); check the path, its rights and the free space"
        ),
    ):
        sink.store([event], account.changes())
    with closing(make(path)) as other:
        assert list(feed(other, []).lanes[Lane(SOURCE, "e1", "alarm")].received) == [(1, 1)]
    sink.close()


def test_a_file_that_is_something_else_is_left_alone(make: Make, tmp_path: Path) -> None:
    """One line with what to do, and the file as it was."""
    path = tmp_path / "events"
    path.write_bytes(b"a letter to my mother\n" * 100)
    with closing(make(path)) as sink, pytest.raises(SinkError):
        sink.load()
    assert path.read_bytes() == b"a letter to my mother\n" * 100


def test_files_of_another_version_are_left_alone(tmp_path: Path) -> None:
    """Newer programs may keep what this one would destroy."""
    database = tmp_path / "events.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with closing(SqliteSink(database)) as sink, pytest.raises(SinkError, match="another version"):
        sink.load()
    (tmp_path / "events.jsonl.state").write_text('{"format": 99}')
    with closing(JsonLinesSink(tmp_path / "events.jsonl")) as lines, pytest.raises(SinkError, match="another version"):
        lines.load()
    assert (tmp_path / "events.jsonl.state").read_text() == '{"format": 99}'


def test_a_damaged_state_is_said_and_can_be_made_anew(tmp_path: Path) -> None:
    """The lines hold all that matters."""
    path = tmp_path / "events.jsonl"
    with closing(JsonLinesSink(path)) as sink:
        feed(sink, [record("alarm", 1)])
    state = tmp_path / "events.jsonl.state"
    state.write_bytes(state.read_bytes()[:20])
    with closing(JsonLinesSink(path)) as sink, pytest.raises(SinkError, match=r"is damaged .*; remove it"):
        sink.load()
    state.unlink()
    with closing(JsonLinesSink(path)) as sink:
        assert list(feed(sink, []).lanes[Lane(SOURCE, "e1", "alarm")].received) == [(1, 1)]


def test_a_folder_that_is_not_there_is_said(make: Make, tmp_path: Path) -> None:
    """Before anything is received."""
    with pytest.raises(SinkError, match="check the path"):
        make(tmp_path / "nowhere" / "events")
