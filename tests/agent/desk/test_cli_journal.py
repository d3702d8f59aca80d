"""`wardgate journal backup, restore, verify, export` and `wardgate history`, as they are typed."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
import typer

from agent.cli.app import main
from agent.cli.when import until, when
from agent.clock import ManualClock
from agent.envelope import draft
from agent.epoch import first_records
from agent.events import TELEMETRY_BATCH, Event, Sample, TelemetryBatch, rfc3339
from buffer.database import FolderLock
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_desk import Served

NOW = 1_763_700_000.0
CLOCK = ManualClock(NOW)


def telemetry(at: float) -> Event:
    sampled = [Sample("u", 0, 398.25, "change"), Sample("i", 500, None, "change", "bad", "comm_lost")]
    body = TelemetryBatch(device="m1", system="pwr.lv", meta_ver="c-1", t0=rfc3339(at), samples=sampled)
    return Event(TELEMETRY_BATCH, "telemetry", at, "pwr.lv/m1", body)


async def fill(folder: Path) -> None:
    """Two batches, a day apart."""
    journal = await Journal.open(
        folder, Limits(2**24, 3600.0), wall=CLOCK.wall, new_epoch=lambda: "7f3a9c20", begin=first_records(CLOCK)
    )
    for at in (NOW - 86_400, NOW):
        await journal.append([draft(telemetry(at), "synced")])
    await journal.close()


@pytest.fixture
def config() -> Iterator[Path]:
    """A configuration whose journal has something in it, and no daemon."""
    with TemporaryDirectory(prefix="wg") as folder:
        here = Path(folder)
        (here / "journal").mkdir()
        (here / "gateway.yaml").write_text(
            "site: h01\ngateway: gw-1\njournal: {path: journal}\ncontrol_socket: control.sock\n"
        )
        asyncio.run(fill(here / "journal"))
        yield here


def test_export_as_json_lines(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Envelopes as the platform gets them, of the time that was asked for."""
    begin = rfc3339(NOW - 3600)
    assert main(["journal", "export", "--from", begin, "--stream", "telemetry", "--config", str(config)]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["type"] for event in events] == ["wardgate.stream.begin.v1", "wardgate.telemetry.batch.v1"]
    assert (events[1]["id"], events[1]["source"]) == (
        "gw-1-7f3a9c20-telemetry-0000000000000003",
        "/site/h01/gw/gw-1/stream/telemetry",
    )


def test_export_as_csv_has_a_row_for_each_sample(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a spreadsheet can use; other events are one row with their data."""
    begin = rfc3339(NOW - 3600)
    arguments = ["journal", "export", "--format", "csv", "--from", begin, "--config", str(config)]
    assert main(arguments) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["stream"], row["point"], row["value"], row["quality"]) for row in rows[-2:]] == [
        ("telemetry", "u", "398.25", "good"),
        ("telemetry", "i", "", "bad"),
    ]
    assert (rows[-1]["time"], rows[-1]["durable"], rows[-1]["subject"]) == (rfc3339(NOW + 0.5), "true", "pwr.lv/m1")
    assert json.loads(rows[0]["data"])["reason"] == "first"


def test_verify_says_whether_all_is_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 and counts for a sound journal, 1 and what is wrong for another."""
    verify = ["journal", "verify", "--config", str(config), "--lang", "en"]
    assert main(verify) == 0
    assert re.fullmatch(r"7 records in \d chunks, 0 faults\n", capsys.readouterr().out)
    spoil(config / "journal" / "journal.db")
    assert main([*verify, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"]
    assert main(verify) == 1
    assert re.fullmatch(r"7 records in \d chunks, 1 faults", capsys.readouterr().out.splitlines()[-1])


def spoil(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE chunk SET blob = zeroblob(length(blob)) WHERE id = (SELECT max(id) FROM chunk)")
        connection.commit()


def test_verify_in_full_is_for_a_copy_or_a_stopped_daemon(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside a daemon it would hold the journal's log back for as long as it takes."""
    verify = ["journal", "verify", "--full", "--config", str(config)]
    assert main(verify) == 0
    copy = config / "copy.db"
    assert main(["journal", "backup", str(copy), "--config", str(config)]) == 0
    lock = FolderLock(config / "journal")
    assert main(verify) == 1
    assert "make a copy" in capsys.readouterr().err
    assert main(["journal", "verify", str(copy), "--full", "--config", str(config)]) == 0
    assert main(["journal", "backup", str(copy), "--config", str(config)]) == 1
    assert main(["journal", "restore", str(copy), "--config", str(config)]) == 1
    assert capsys.readouterr().err.count("stop it first") == 2
    lock.release()


def test_export_says_what_it_had_to_leave_out(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest comes nevertheless; the exit code says that it is not all."""
    spoil(config / "journal" / "journal.db")
    assert main(["journal", "export", "--from", rfc3339(NOW - 3600), "--config", str(config)]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4
    assert "1 damaged chunks were left out" in said.err


def test_backup_and_restore_without_a_daemon(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy from the file, and back: what was there is kept beside it."""
    copy = config / "copy.db"
    assert main(["journal", "backup", str(copy), "--config", str(config), "--lang", "en"]) == 0
    assert main(["journal", "restore", str(copy), "--config", str(config), "--lang", "en"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [f"copied to {copy}", f"restored from {copy}"]
    assert said[2].startswith(f"the journal that was there is now {config}/journal/journal.db.replaced-")
    assert main(["journal", "verify", "--config", str(config)]) == 0


def test_backup_asks_the_daemon_that_runs(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the whole path, because its folder is another one; its refusal is said."""
    (tmp_path / "gateway.yaml").write_text("site: h01\ngateway: gw-1\n")
    options = ["--config", str(tmp_path), "--socket", str(served.path)]
    assert main(["journal", "backup", str(tmp_path / "copy.db"), *options]) == 0
    assert served.desk.backups == [str(tmp_path / "copy.db")]
    assert main(["journal", "backup", "/nowhere/copy.db", *options]) == 1
    assert "the copy /nowhere/copy.db cannot be written; choose another place" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["verify", "export"])
def test_a_journal_that_is_not_there(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr with what to do."""
    (tmp_path / "gateway.yaml").write_text("site: h01\ngateway: gw-1\njournal: {path: nowhere}\n")
    assert main(["journal", verb, "--config", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_history_of_a_point(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows by time, with numbers where they were asked for."""
    arguments = ["history", "lv-main/u_ab", "--lang", "en", "--socket", str(served.path)]
    assert main([*arguments, "--from", "2h", "--every", "1min"]) == 0
    shown = capsys.readouterr().out
    assert "maximum" in shown
    assert "397.5" in shown
    assert "no samples until" in shown.splitlines()[2]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["last"] == 398.25
    assert main([*arguments, "--from", "90d"]) == 1
    assert "ask for less time" in capsys.readouterr().err
    assert main([*arguments, "--every", "soon"]) == 2


def test_history_of_alarms(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """What they did, oldest first; of one of them where one is named."""
    arguments = ["alarms", "history", "--socket", str(served.path)]
    assert main([*arguments, "--lang", "en"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert ["raise" in shown[1], "Fire in zone 3 (test)" in shown[1], "clear" in shown[2]] == [True] * 3
    assert main([*arguments, "fire/fire-panel/zone3#fire", "--json"]) == 0
    assert [one["action"] for one in json.loads(capsys.readouterr().out)] == ["raise", "clear"]
    assert main([*arguments, "--from", "30min", "--lang", "zh"]) == 0
    assert capsys.readouterr().out == "此时段无报警\n"
    assert main([*arguments, "fire/fire-panel/zone4#fire"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_evidence_of_an_alarm(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """What it did, and the values around it; of an earlier occurrence where one is named."""
    arguments = ["alarms", "show", "fire/fire-panel/zone3#fire", "--socket", str(served.path)]
    assert main([*arguments, "--lang", "en"]) == 0
    shown = capsys.readouterr().out
    assert "raise" in shown
    assert "fire-panel/zone3" in shown
    assert "(more is to come)" in shown
    assert ".412  true" in shown
    occurrence = "gw-a1/fire/fire-panel/zone3#fire/1"
    assert main([*arguments, "--occurrence", occurrence, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["evidence"][0]["samples"][0]["value"] is True
    assert main([*arguments, "--occurrence", "gw-a1/fire/fire-panel/zone3#fire/0"]) == 1
    assert "is kept; see wardgate alarms history" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-11-21T12:00:00"),
        ("2h", "2026-11-21T10:00:00"),
        ("10:30", "2026-11-21T10:30:00"),
        ("2026-11-20", "2026-11-20T00:00:00"),
        ("2026-11-20T08:15", "2026-11-20T08:15:00"),
        ("2026-11-20T08:15Z", "2026-11-20T16:15:00"),
    ],
)
def test_a_moment_as_people_write_it(text: str, meant: str) -> None:
    """In the time zone of the one who asks."""
    zone = ZoneInfo("Asia/Shanghai")
    now = datetime(2026, 11, 21, 12, tzinfo=zone)
    assert when(text, now) == datetime.fromisoformat(meant).replace(tzinfo=zone).timestamp()


def test_what_is_no_moment_is_said() -> None:
    """With what could be written instead."""
    with pytest.raises(typer.BadParameter, match="write 2h"):
        when("yesterday", datetime.now().astimezone())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2h", "2026-11-21T14:00:00"),
        ("17:30", "2026-11-21T17:30:00"),
        ("10:30", "2026-11-22T10:30:00"),
        ("2026-11-23T08:15", "2026-11-23T08:15:00"),
    ],
)
def test_an_end_as_people_write_it(text: str, meant: str) -> None:
    """From now on, in the time zone of the one who asks; a time of day that is over is tomorrow's."""
    zone = ZoneInfo("Asia/Shanghai")
    now = datetime(2026, 11, 21, 12, tzinfo=zone)
    assert until(text, now) == datetime.fromisoformat(meant).replace(tzinfo=zone).timestamp()


def test_what_is_no_end_is_said() -> None:
    """With what could be written instead."""
    with pytest.raises(typer.BadParameter, match="write 2h"):
        until("soon", datetime.now().astimezone())
