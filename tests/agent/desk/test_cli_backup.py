"""`wardgate backup` and `wardgate restore`: what comes back, what never lies open, and what is refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from agent.backup.container import MANIFEST, SEALED, created, opened
from agent.backup.make import make
from agent.backup.places import read_places
from agent.backup.put_back import put_back
from agent.cli.app import main
from agent.clock import ManualClock
from agent.control.client import NotDone
from agent.epoch import first_records
from buffer.archive import copy_unused, verify
from buffer.database import FolderLock, connect_reader
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_763_700_000.0
PASSWORD = "the broker's own password"
PASSPHRASE = "correct horse battery staple"
KEY = f"-----BEGIN PRIVATE KEY-----\n{PASSWORD}\n-----END PRIVATE KEY-----\n"
GATEWAY = """\
site: h01
gateway: gw-1
control_socket: ./control.sock
state: ./state
journal: {path: ./journal}
uplinks:
  platform:
    brokers: ["mqtts://10.0.0.1"]
    user: gw-1
    password: {file: broker.txt}
  second:
    brokers: ["mqtt://10.0.0.2"]
    user: gw-1
    password: {env: SECOND_PASSWORD}
"""


async def fill(folder: Path) -> None:
    clock = ManualClock(NOW)
    limits = Limits(2**24, 3600.0)
    journal = await Journal.open(folder, limits, wall=clock.wall, begin=first_records(clock))
    await journal.append([], state={"alarm/x": b"UNACK"})
    await journal.close()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A gateway `a` with a journal, a password and a private key, that does not run."""
    config = tmp_path / "a"
    for name, content in (
        ("gateway.yaml", GATEWAY),
        ("lines.yaml", "lines: {lv: {protocol: modbus, host: 10.0.0.9}}\n"),
        ("devices/m.yaml", "devices: {m-1: {line: lv, profile: schneider-pm5300}}\n"),
        ("points/m-1.csv", "id,register\n"),
        ("broker.txt", PASSWORD + "\n"),
        ("cloud.json", PASSWORD + "\n"),
        ("notes.yaml", PASSWORD + "\n"),
        ("state/opcua/own/key.pem", KEY),
        ("state/opcua/own/.lock", ""),
        ("state/configurations/000001-c-12345678.zip", "kept"),
    ):
        file = config / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (config / "broker.txt").chmod(0o640)
    (config / "journal").mkdir()
    asyncio.run(fill(config / "journal"))
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    return tmp_path


def back_up(here: Path, *words: str) -> Path:
    file = here / "gw.backup"
    assert main(["backup", str(file), "--config", str(here / "a"), *words]) == 0
    return file


def files(folder: Path) -> dict[str, bytes]:
    """What a person would compare: not the journal, whose copy is a new one."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "journal" not in path.parts and path.name != ".lock"
    }


def test_everything_comes_back_and_no_secret_lies_open(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files with their rights, the journal with the alarms' states; what cannot be in a backup is said twice."""
    words = ["--passphrase-file", str(here / "passphrase")]
    file = back_up(here, *words)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "env: SECOND_PASSWORD" in capsys.readouterr().out
    with zipfile.ZipFile(file) as archive:
        assert all(PASSWORD.encode() not in archive.read(name) for name in archive.namelist())
    assert main(["restore", str(file), "--config", str(here / "b"), *words]) == 0
    assert "env: SECOND_PASSWORD" in capsys.readouterr().out
    assert files(here / "b") == files(here / "a")
    assert (here / "b" / "broker.txt").stat().st_mode & 0o777 == 0o640
    with closing(connect_reader(here / "b" / "journal" / "journal.db")) as database:
        assert database.execute("SELECT value FROM state WHERE key = 'alarm/x'").fetchone() == (b"UNACK",)
        assert database.execute("SELECT key FROM meta WHERE key = 'renew:restored'").fetchone()
    assert verify(here / "b" / "journal" / "journal.db").faults == ()


def test_without_a_passphrase_no_secret_is_in_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which files were left out is said; the rest can be used."""
    file = back_up(here, "--no-secrets", "--json")
    made = json.loads(capsys.readouterr().out)
    left_out = [Path(path).name for path in made["left_out"]]
    assert left_out == ["broker.txt", "cloud.json", "notes.yaml", "key.pem"]
    assert main(["restore", str(file), "--config", str(here / "b")]) == 0
    missing = set(files(here / "a")) - set(files(here / "b"))
    assert missing == {"broker.txt", "cloud.json", "notes.yaml", "state/opcua/own/key.pem"}


def test_what_a_restore_left_out_and_what_is_wrong_with_it_is_told_in_chinese(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Secrets that are in the backup and were not wanted, and a configuration that this release does not accept."""
    (here / "a" / "lines.yaml").write_text("lines: []\n", encoding="utf-8")
    file = back_up(here, "--passphrase-file", str(here / "passphrase"))
    capsys.readouterr()
    assert main(["restore", str(file), "--config", str(here / "b"), "--no-secrets", "--lang", "zh"]) == 1
    told = capsys.readouterr()
    assert "未恢复，需手工设置： 密码和密钥\n" in told.out
    assert "lines.yaml:1:1: lines: 写的是" in told.err


def test_nobody_to_ask_is_a_usage_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script has to say what it wants with the secrets."""
    assert main(["backup", str(here / "x"), "--config", str(here / "a")]) == 2
    assert "--no-secrets" in capsys.readouterr().err
    (here / "short").write_text("short")
    assert main(["backup", str(here / "x"), "--config", str(here / "a"), "--passphrase-file", str(here / "short")]) == 1
    assert "take 12 or more" in capsys.readouterr().err
    assert not (here / "x").exists()


def test_what_was_there_is_kept_beside(here: Path) -> None:
    """Nothing that a restore meets is overwritten, and a second backup holds none of it."""
    file = back_up(here, "--no-secrets")
    before = files(here / "a")
    (here / "a" / "lines.yaml").write_text("lines: {}\n")
    assert main(["restore", str(file), "--config", str(here / "a")]) == 0
    (aside,) = here.glob("a.replaced-*")
    assert (aside / "lines.yaml").read_text() == "lines: {}\n"
    assert (aside / "broker.txt").read_text() == PASSWORD + "\n"
    assert list((here / "a" / "journal").glob("journal.db.replaced-*"))
    assert (here / "a" / "lines.yaml").read_bytes() == before["lines.yaml"]
    again = back_up(here, "--no-secrets")
    with zipfile.ZipFile(again) as archive:
        assert not [name for name in archive.namelist() if "replaced" in name]


def test_a_running_daemon_is_not_written_under(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is touched then."""
    file = back_up(here, "--no-secrets")
    before = files(here / "a")
    lock = FolderLock(here / "a" / "journal")
    try:
        assert main(["restore", str(file), "--config", str(here / "a")]) == 1
    finally:
        lock.release()
    assert "stop it first" in capsys.readouterr().err
    assert files(here / "a") == before


def rewrite(file: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> None:
    """The same ZIP with other members."""
    with zipfile.ZipFile(file) as archive:
        members = [change(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)


def in_manifest(old: str, new: str) -> Callable[[str, bytes], tuple[str, bytes]]:
    return lambda name, content: (name, content.replace(old.encode(), new.encode()) if name == MANIFEST else content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def other_file(file: Path) -> None:
    file.write_text("site: h01\n")


def other_zip(file: Path) -> None:
    rewrite(file, lambda name, content: (name.replace(MANIFEST, "readme"), content))


def newer(file: Path) -> None:
    rewrite(file, in_manifest('"wardgate_backup": 1', '"wardgate_backup": 2'))


def outside(file: Path) -> None:
    rewrite(file, in_manifest("config/lines.yaml", "config/../lines.yaml"))


def changed_line(file: Path) -> None:
    rewrite(file, lambda name, content: (name, content.replace(b"10.0.0.9", b"10.0.0.8")))


def changed_journal(file: Path) -> None:
    rewrite(file, lambda name, content: (name, content[:-1] + b"x" if name.startswith("journal") else content))


def lost(file: Path) -> None:
    rewrite(file, lambda name, content: (name.replace("lines", "line"), content))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "is not a backup of wardgate, or only a part of one"),
        (other_file, "is not a backup of wardgate"),
        (other_zip, "is not a backup of wardgate"),
        (newer, "install that release or a newer one"),
        (outside, "which no backup does"),
        (changed_line, "is damaged (config/lines.yaml)"),
        (changed_journal, "is damaged (journal/journal.db)"),
        (lost, "is damaged"),
        (Path.unlink, "cannot read"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_whole(
    here: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], said: str
) -> None:
    """One sentence says why, and neither configuration nor journal is there afterwards."""
    file = back_up(here, "--no-secrets")
    damage(file)
    assert main(["restore", str(file), "--config", str(here / "b")]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert files(here / "b") == {}
    assert not list((here / "b").rglob("*.db"))


def test_no_flipped_byte_goes_unnoticed_where_it_matters(here: Path) -> None:
    """Wherever one is: either it is refused, or what comes back is what was there."""
    original = back_up(here, "--no-secrets").read_bytes()
    wanted = files(here / "a")
    flipped, target = here / "flipped", here / "c"
    refused = 0
    for place in range(7, len(original), len(original) // 60):
        flipped.write_bytes(original[:place] + bytes([original[place] ^ 0x20]) + original[place + 1 :])
        try:
            put_back(flipped, target, Path("/"), None, NOW)
        except NotDone:
            refused += 1
        else:
            assert files(target).items() <= wanted.items()
            assert verify(target / "journal" / "journal.db").faults == ()
        shutil.rmtree(target, ignore_errors=True)
    assert refused > 30


def test_the_passphrase_also_proves_what_lies_open(here: Path) -> None:
    """A wrong one is refused; so is the right one where somebody has changed the manifest."""
    file = back_up(here, "--passphrase-file", str(here / "passphrase"))
    with opened(file) as backup, pytest.raises(NotDone, match="not the one of this backup"):
        backup.secrets("another long passphrase")
    rewrite(file, in_manifest('"gw-1"', '"gw-2"'))
    with opened(file) as backup, pytest.raises(NotDone, match="was changed"):
        backup.secrets(PASSPHRASE)
    assert SEALED in zipfile.ZipFile(file).namelist()


def test_an_installed_gateway_comes_with_its_credentials_and_certificates(tmp_path: Path) -> None:
    """Drop-ins, the files that they hand over as credentials, and files elsewhere; what is elsewhere already stays."""
    old, new = tmp_path / "old", tmp_path / "new"
    named = "tls: {ca: /etc/ssl/site-ca.pem}, password: {credential: mqtt}"
    listing = {
        "etc/wardgate/gateway.yaml": f'site: h01\ngateway: gw-1\nuplinks: {{p: {{brokers: ["mqtts://b"], {named}}}}}\n',
        "etc/ssl/site-ca.pem": "an authority",
        "etc/systemd/system/wardgate.service.d/site.conf": "[Service]\nLoadCredential=mqtt:/etc/credstore/mqtt\n",
        "etc/credstore/mqtt": PASSWORD,
        "var/lib/wardgate/opcua/own/key.pem": KEY,
    }
    for name, content in listing.items():
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text(content)
    (old / "var/lib/wardgate/journal").mkdir()
    asyncio.run(fill(old / "var/lib/wardgate/journal"))
    places = read_places(Path("/etc/wardgate"), old)
    file = tmp_path / "gw.backup"
    made = make(places, file, PASSPHRASE, NOW, lambda to: copy_unused(places.journal, to))
    assert (made.secrets, made.missing, made.left_out) == (4, [], [])
    (new / "etc/ssl").mkdir(parents=True)
    (new / "etc/ssl/site-ca.pem").write_text("the new authority")
    restored = put_back(file, Path("/etc/wardgate"), new, PASSPHRASE, NOW)
    assert restored.kept == [str(new / "etc/ssl/site-ca.pem")]
    assert {name for name in listing if (new / name).read_text() == listing[name]} == listing.keys() - {
        "etc/ssl/site-ca.pem"
    }
    assert (new / "var/lib/wardgate/journal/journal.db").exists()


def test_a_link_that_the_daemons_user_could_make_leads_root_nowhere(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither is a foreign file read into a backup, nor one written out of it."""
    (here / "foreign").mkdir()
    (here / "foreign" / "shadow").write_text("a secret of root")
    (here / "a" / "state" / "shadow").symlink_to(here / "foreign" / "shadow")
    file = back_up(here, "--passphrase-file", str(here / "passphrase"))
    with opened(file) as backup:
        assert not [each for each in backup.secrets(PASSPHRASE) if each.name.endswith("shadow")]
    (here / "b" / "state").mkdir(parents=True)
    (here / "b" / "state" / "opcua").symlink_to(here / "foreign")
    words = ["--config", str(here / "b"), "--passphrase-file", str(here / "passphrase")]
    assert main(["restore", str(file), *words]) == 1
    assert "remove that link" in capsys.readouterr().err
    assert [path.name for path in (here / "foreign").iterdir()] == ["shadow"]
    assert not (here / "b" / "journal").exists()


def test_a_backup_that_fails_leaves_the_last_one(here: Path) -> None:
    """It appears under its name only when it is complete."""
    file = back_up(here, "--no-secrets")
    before = file.read_bytes()
    with pytest.raises(msgspec.DecodeError), created(file) as writer:
        writer.add("config/gateway.yaml", here / "a" / "gateway.yaml")
        msgspec.json.decode(b"?")
    assert file.read_bytes() == before
    assert not list(here.glob("*.part"))
