"""`wardgate bundle`: everything for support, nothing secret."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from typing import TYPE_CHECKING

import pytest
from fake_desk import Served, maintenance

from agent.cli.app import main
from config.load import load
from config.revealed import revealed
from drivers.registry import protocols

if TYPE_CHECKING:
    from pathlib import Path

SECRET = maintenance().reason
"""A password that somebody also typed as the reason of a maintenance."""


@pytest.fixture
def folder(tmp_path: Path, socket_path: Path) -> Path:
    """A configuration whose broker wants that password, and whose socket is that of the fake desk."""
    (tmp_path / "mqtt.secret").write_text(f"{SECRET}\n")
    uplink = "uplinks: {main: {brokers: [mqtts://10.0.0.2], user: gw, password: {file: mqtt.secret}}}\n"
    base = f"site: h01\ngateway: gw-1\ncontrol_socket: {socket_path}\n"
    (tmp_path / "gateway.yaml").write_text(base + uplink)
    lines = 'lines: {one: {protocol: opcua, url: "opc.tcp://10.0.0.3:4840", user: gw, password: {env: OPC_PW}}}\n'
    (tmp_path / "lines.yaml").write_text(lines)
    return tmp_path


def test_a_bundle_holds_everything_but_secrets(
    folder: Path, socket_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the daemon tells, what `check` says, what runs here; for its owner's eyes, and never over another file."""
    file = folder / "gw-1.zip"
    with Served(socket_path):
        assert main(["bundle", str(file), "--config", str(folder), "--json"]) == 0
        view = json.loads(capsys.readouterr().out)
        assert main(["bundle", str(file), "--config", str(folder)]) == 1
        assert "is there already" in capsys.readouterr().err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert sorted(parts) == view["parts"]
    told = {"about", "status", "points", "configuration", "alarms-of-a-day", "check"}
    assert {f"{name}.json" for name in told} | {"metrics.txt"} <= set(parts)
    assert json.loads(parts["status.json"])["maintenance"][0]["reason"] == "(secret)"
    assert not [name for name, text in parts.items() if SECRET in text]


def test_without_a_daemon_it_holds_what_there_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what is missing and why; that is when support is needed most."""
    assert main(["bundle", str(folder / "b.zip"), "--config", str(folder), "--lang", "en"]) == 0
    assert "missing: status.json (no wardgate daemon answers" in capsys.readouterr().out
    with zipfile.ZipFile(folder / "b.zip") as archive:
        assert {"about.json", "check.json"} <= set(archive.namelist())


def test_every_secret_that_the_configuration_names_is_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of uplinks and those of drivers; what is not here is left out."""
    config = load(folder, protocols())
    assert revealed(config) == {SECRET}
    monkeypatch.setitem(os.environ, "OPC_PW", "opc-password")
    assert revealed(config) == {SECRET, "opc-password"}
