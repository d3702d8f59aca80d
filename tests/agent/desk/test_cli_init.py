"""`wardgate init`: a folder to begin with, by flags or by questions, which `check` accepts and devices answer."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from typing import TYPE_CHECKING

import pytest
from hardware_mocks.client import HospitalProcess

from agent.cli.app import main
from config.load import load
from drivers import registry

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Config

HAN = re.compile(r"[\u4e00-\u9fff]")
NAMED = ("--site", "h01", "--gateway", "gw-1")
PLACES = ("modbus=192.168.1.50:1502", "modbus=/dev/serial/by-id/usb", "bacnet=10.1.3.5/24", "opcua=opc.tcp://10.1.4.7")


def loaded(folder: Path) -> Config:
    return load(folder, registry.protocols())


def test_by_flags_it_writes_what_check_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of all protocols, devices of profiles, comments in two languages; and overwrites nothing."""
    folder = tmp_path / "new"
    lines = [word for place in PLACES for word in ("--line", place)]
    devices = ["--device", "lv-main=schneider-pm5300:3", "--device", "ahu-1=bacnet-ahu:1002"]
    words = ["init", str(folder), *NAMED, "--broker", "mqtts://10.0.0.5", "--user", "gw-1", *lines, *devices]
    assert main(words) == 0
    assert main(["check", "--config", str(folder)]) == 0
    config = loaded(folder)
    assert [line.spec.endpoint for line in config.lines] == [
        "192.168.1.50:1502",
        "/dev/serial/by-id/usb",
        "10.1.3.5/24:47808",
        "opc.tcp://10.1.4.7:4840",
    ]
    addresses = {device.id: device.address.model_dump(exclude_defaults=True) for device in config.devices}
    assert addresses["lv-main"]["unit"] == 3
    assert addresses["ahu-1"]["instance"] == 1002
    for file in folder.rglob("*.yaml"):
        comments = [row for row in file.read_text(encoding="utf-8").splitlines() if "#" in row]
        assert any(HAN.search(row) for row in comments)
        assert any(not HAN.search(row) for row in comments[1:])
        assert file.stat().st_mode & 0o777 == 0o640
    before = {file: file.read_bytes() for file in folder.rglob("*.*")}
    capsys.readouterr()
    assert main(words) == 1
    assert "name another folder" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in folder.rglob("*.*")} == before


def test_the_least_that_it_writes_is_accepted_too(tmp_path: Path) -> None:
    """No line, no broker: both are there as comments."""
    assert main(["init", str(tmp_path / "new"), *NAMED]) == 0
    assert main(["check", "--config", str(tmp_path / "new")]) == 0
    assert sorted(re.findall(r"# +(\w+)-1: \{protocol: ", (tmp_path / "new" / "lines.yaml").read_text())) == [
        "bacnet",
        "modbus",
        "opcua",
    ]


def test_what_it_shows_in_comments_is_right(tmp_path: Path) -> None:
    """Whoever takes the signs away has devices with points and alarms."""
    folder = tmp_path / "new"
    assert main(["init", str(folder), *NAMED, *(word for place in PLACES for word in ("--line", place))]) == 0
    for file in (folder / "devices").iterdir():
        shown = re.findall(r"^#   (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        file.write_text("\n".join(["devices:", *(f"  {row}" for row in shown)]), encoding="utf-8")
    config = loaded(folder)
    assert {device.id for device in config.devices} == {"dev-1", "ahu-1", "or-1"}
    assert all(device.alarms and device.points for device in config.devices)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--site", "h01"], 2, "--gateway"),
        ([*NAMED, "--line", "mdbus=1"], 2, "modbus, bacnet, opcua"),
        ([*NAMED, "--device", "x=schneider-pm5300"], 2, "--line modbus=WHERE"),
        ([*NAMED, "--device", "x=pm5300"], 2, "schneider-pm5300"),
        (["--site", "Hospital 1", "--gateway", "gw-1"], 1, "site: found 'Hospital 1', not an id"),
        ([*NAMED, "--time-zone", "China"], 1, "time_zone"),
        ([*NAMED, "--broker", "10.0.0.5"], 1, "mqtt://HOST:PORT"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    """With what to write instead."""
    assert main(["init", str(tmp_path / "new"), *words]) == code
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "new").rglob("*.yaml"))


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_asks_for_what_was_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question each; brokers, lines and devices until there are no more."""
    answers = ("h02", "mqtts://10.0.0.5", "", "modbus=192.168.1.50", "", "lv-main=schneider-pm5300", "")
    monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{answer}\n" for answer in answers)))
    assert main(["init", str(tmp_path / "new"), "--gateway", "gw-7", "--lang", "zh"]) == 0
    config = loaded(tmp_path / "new")
    assert (config.site, config.gateway) == ("h02", "gw-7")
    assert [device.id for device in config.devices] == ["lv-main"]


async def test_a_device_answers_to_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A meter of the simulated hospital, read a minute after nothing was there."""
    async with HospitalProcess(protocols=("modbus",)) as hospital:
        host, port = hospital.address("lv-main")
        folder = tmp_path / "new"
        line = ["--line", f"modbus={host}:{port}", "--device", "lv-main=schneider-pm5300"]
        assert await asyncio.to_thread(main, ["init", str(folder), *NAMED, *line]) == 0
        assert await asyncio.to_thread(main, ["read", "--config", str(folder), "lv-main", "u_an", "f"]) == 0
    assert len(re.findall(r"^lv-main +\w+ .* good ", capsys.readouterr().out, re.MULTILINE)) == 2
