"""Configurations that ran are kept: complete, for their user only, a bounded number; and they load as they once did."""

from __future__ import annotations

import shutil
import stat
import zipfile
from typing import TYPE_CHECKING

import pytest
from config_toy import GATEWAY, TOY, accepted

from config import kept
from config.errors import ConfigInvalid
from config.kept import FOLDER, KeptUnreadable, all_kept, keep
from config.load import load
from config.outline import outline

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = "devices:\n  m-1: {line: one, profile: own, system: pwr.lv}\n"
OWN = "protocol: toy\nsource: the maker's list\npoints:\n  u: {at: 1, unit: V}\n"
TLS = GATEWAY.replace("mqtt://127.0.0.1]", "mqtts://127.0.0.1], tls: {ca: ca.pem}")


def version(number: int) -> str:
    return f"c-{number:08x}"


def test_a_kept_configuration_is_the_one_that_was_read(tmp_path: Path) -> None:
    """Every file with its content, when it began to run and by whom."""
    config = accepted(tmp_path, DEVICE, own=OWN)
    keep(tmp_path, config.files, config.version, 1_700_000_000.5, "lina")
    (found,) = all_kept(tmp_path)
    assert (found.number, found.version, found.since, found.by) == (1, config.version, 1_700_000_000.5, "lina")
    assert found.files() == config.files
    assert set(config.files) == {"gateway.yaml", "lines.yaml", "devices/device.yaml", "profiles/own.yaml"}


def test_it_loads_when_its_folder_is_gone(tmp_path: Path) -> None:
    """As the same configuration, with the same version, paths as they were meant from its folder."""
    folder = tmp_path / "etc"
    folder.mkdir()
    config = accepted(folder, DEVICE, own=OWN, gateway=TLS)
    shutil.rmtree(folder)
    with pytest.raises(ConfigInvalid):
        load(folder, TOY)
    again = load(folder, TOY, config.files)
    assert again.version == config.version
    assert outline(again) == outline(config)
    assert again.uplinks[0].tls.ca == folder / "ca.pem"


def test_a_file_that_is_not_kept_is_missing(tmp_path: Path) -> None:
    """It is not taken from the folder, which has another configuration now."""
    config = accepted(tmp_path, DEVICE, own=OWN)
    files = {name: content for name, content in config.files.items() if name != "lines.yaml"}
    with pytest.raises(ConfigInvalid, match=r"lines\.yaml: no such file"):
        load(tmp_path, TOY, files)


def test_the_newest_is_not_kept_twice(tmp_path: Path) -> None:
    """A restart with the same configuration is no new one; going back to an older one is."""
    for number in (1, 1, 2, 1):
        keep(tmp_path, {"gateway.yaml": b"site: h01\n"}, version(number), 0.0, "root")
    assert [(one.number, one.version) for one in all_kept(tmp_path)] == [
        (1, version(1)),
        (2, version(2)),
        (3, version(1)),
    ]


def test_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit; numbers are not used again."""
    monkeypatch.setattr(kept, "KEPT_MAX", 3)
    for number in range(1, 6):
        keep(tmp_path, {}, version(number), 0.0, "root")
    assert [one.number for one in all_kept(tmp_path)] == [3, 4, 5]


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    """Neither the folder nor a file."""
    one = keep(tmp_path, {"gateway.yaml": b"x"}, version(1), 0.0, "root")
    assert stat.S_IMODE(one.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(one.path.parent.stat().st_mode) == 0o700


def test_an_unfinished_file_is_none(tmp_path: Path) -> None:
    """What a power cut left behind does not count, and is not in the way of the next."""
    keep(tmp_path, {}, version(1), 0.0, "root")
    (tmp_path / FOLDER / f"000002-{version(2)}.part").write_bytes(b"half")
    assert [one.number for one in all_kept(tmp_path)] == [1]
    assert keep(tmp_path, {}, version(2), 0.0, "root").number == 2
    assert [one.number for one in all_kept(tmp_path)] == [1, 2]


def test_a_damaged_file_is_left_out(tmp_path: Path) -> None:
    """The others stay, its number is not used again, and what was read before says what is wrong."""
    first, second = (keep(tmp_path, {"a.yaml": b"a"}, version(number), 0.0, "root") for number in (1, 2))
    second.path.write_bytes(second.path.read_bytes()[:40])
    assert all_kept(tmp_path) == [first]
    with pytest.raises(KeptUnreadable, match="000002"):
        second.files()
    assert keep(tmp_path, {}, version(3), 0.0, "root").number == 3


def test_a_file_with_a_rotten_byte_says_so(tmp_path: Path) -> None:
    """Wherever it is, what was kept comes back as it was, or not at all."""
    files = {"gateway.yaml": b"site: h01\ngateway: gw-1\n" * 20}
    one = keep(tmp_path, files, version(1), 0.0, "root")
    whole = one.path.read_bytes()
    wrong = 0
    for at in range(len(whole)):
        one.path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            found = one.files()
        except KeptUnreadable:
            wrong += 1
        else:
            assert found == files
    assert wrong > len(whole) / 4


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is unpacked."""
    monkeypatch.setattr(kept, "SIZE_BYTES_MAX", 1000)
    one = keep(tmp_path, {"a.yaml": bytes(1001)}, version(1), 0.0, "root")
    with pytest.raises(KeptUnreadable, match="too large"):
        one.files()


def test_any_tool_can_open_it(tmp_path: Path) -> None:
    """A person without wardgate gets the files out of it."""
    one = keep(tmp_path, {"devices/m.yaml": b"devices: {}\n"}, version(1), 0.0, "root")
    with zipfile.ZipFile(one.path) as archive:
        assert archive.testzip() is None
        assert archive.read("devices/m.yaml") == b"devices: {}\n"
