"""`wardgate read` without a daemon: the line is opened here, against the simulated hospital."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hardware_mocks.client import HospitalProcess

import config
from agent.cli.app import main
from agent.cli.stage import introduce

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(config.__file__).parent / "examples"


@pytest.fixture(scope="module")
def hospital() -> Iterator[HospitalProcess]:
    hospital = HospitalProcess()
    asyncio.run(hospital.start())
    yield hospital
    asyncio.run(hospital.stop())


@pytest.fixture(scope="module")
def folder(hospital: HospitalProcess) -> Iterator[Path]:
    """The shipped examples, moved to this hospital's network."""
    with TemporaryDirectory(prefix="wg") as root:
        folder = Path(root) / "config"
        shutil.copytree(EXAMPLES, folder)
        for file in folder.rglob("*.yaml"):
            file.write_text(file.read_text("utf-8").replace("127.77.0", hospital.net), encoding="utf-8")
        introduce(folder, hospital)
        yield folder


@pytest.mark.parametrize(("device", "point"), [("lv-main", "u_ab"), ("chiller-1", "t_chws"), ("or-1", "o2_p")])
def test_the_device_is_read_over_each_protocol(
    folder: Path, hospital: HospitalProcess, device: str, point: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The value is what the device serves, and stderr says that the line was opened for it."""
    asyncio.run(hospital.set(device, point, 45.0))
    assert main(["read", device, point, "--json", "--config", str(folder)]) == 0
    said = capsys.readouterr()
    (view,) = json.loads(said.out)
    assert (view["device"], view["point"], view["q"]) == (device, point, "good")
    assert view["value"] == pytest.approx(45.0)
    assert view["address"]
    assert said.err == "no daemon is running: the line was opened for this one reading\n"


def test_4_a_sample_read_shows_all_four_orders_of_bytes(
    folder: Path, hospital: HospitalProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a technician sees which one agrees with the device's display."""
    asyncio.run(hospital.set("lv-main", "u_ab", 45.0))
    assert main(["read", "lv-main", "u_ab", "--orders", "--json", "--config", str(folder)]) == 0
    shown = {view["point"]: view["value"] for view in json.loads(capsys.readouterr().out)}
    assert list(shown) == ["u_ab", "u_ab order: CDAB", "u_ab order: BADC", "u_ab order: DCBA"]
    assert [value == pytest.approx(45.0) for value in shown.values()] == [True, False, False, False]


def test_all_points_of_a_device_in_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without names every point is read; Chinese names where asked for."""
    assert main(["read", "fire-panel", "--lang", "zh", "--config", str(folder)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 1 + 17
    assert "三区火警" in next(row for row in table if "zone.3.alarm" in row)


def test_a_silent_device_is_exit_code_1(
    folder: Path, hospital: HospitalProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the endpoint; nothing hangs."""
    asyncio.run(hospital.fault("fire-panel", "silent"))
    code = main(["read", "fire-panel", "--config", str(folder)])
    asyncio.run(hospital.fault("fire-panel", "none"))
    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    assert said.err.startswith("wardgate: ")
    assert f"{hospital.net}.14" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["lv-mian"], 2, "wardgate: no device 'lv-mian'; did you mean lv-main?\n"),
        (["lv-main", "u_abc"], 2, "wardgate: no point of lv-main 'u_abc'; did you mean "),
    ],
)
def test_an_unknown_name_is_a_usage_error(
    folder: Path, arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the nearest names, before anything is opened."""
    assert main(["read", *arguments, "--config", str(folder)]) == code
    assert capsys.readouterr().err.startswith(says)


def test_a_wrong_configuration_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`read` points to `check`, which says it all."""
    assert main(["read", "x", "--config", str(tmp_path), "--socket", str(tmp_path / "none")]) == 1
    what = f"the configuration in {tmp_path} cannot be used (mistakes: 2)"
    assert capsys.readouterr().err == f"wardgate: {what}; see `wardgate check --config {tmp_path}`\n"


def test_a_daemon_that_is_stuck_is_not_gone_round(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While somebody listens on the socket the line is his: exit code 3, and no connection to the device."""
    monkeypatch.setattr("agent.control.client.ANSWER_S_MAX", 0.1)
    path = folder.parent / "stuck.sock"
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(path))
        stuck.listen()
        assert main(["read", "lv-main", "u_ab", "--config", str(folder), "--socket", str(path)]) == 3
    assert "it may be stuck" in capsys.readouterr().err


def test_a_computed_point_is_not_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence that says so, and where it is shown."""
    assert main(["read", "lv-main", "load_pct", "--config", str(folder)]) == 2
    assert "load_pct of lv-main is computed, not read; see `wardgate points`" in capsys.readouterr().err
