"""`wardgate run` in a process of its own: what it imports, how it starts, stops and refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from probing import ask

from agent.cli.app import main
from agent.control.client import Client
from agent.metrics.table import TABLE
from config.kept import all_kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GATEWAY = "site: h01\ngateway: gw-1\ncontrol_socket: control.sock\nstate: state\njournal: {path: journal}\n"


@pytest.fixture
def folder(socket_path: Path) -> Path:
    """A gateway without lines."""
    folder = socket_path.parent
    (folder / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (folder / "lines.yaml").write_text("lines: {}\n", encoding="utf-8")
    (folder / "devices").mkdir()
    (folder / "journal").mkdir()
    return folder


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """A daemon that answers; stopped by a signal at the end."""
    command = [sys.executable, *flags, "-m", "agent", "run", "--config", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        deadline = time.monotonic() + 20
        while not (folder / "control.sock").exists():
            assert daemon.poll() is None, daemon.stderr and daemon.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        try:
            yield daemon
        finally:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)


def test_the_daemon_carries_no_command_line_and_no_driver_that_is_not_configured(folder: Path) -> None:
    """Neither typer nor rich nor a protocol without a line is imported in the whole life of the daemon."""
    with running(folder, "-X", "importtime") as daemon:
        assert daemon.stderr is not None
        daemon.send_signal(signal.SIGTERM)
        report = daemon.stderr.read()
    assert daemon.returncode == 0
    # Submodules only: an import that was refused is in the report too, by the name of its package.
    modules = [line.rpartition("|")[2].strip() for line in report.splitlines()]
    packages = {module.partition(".")[0] for module in modules if "." in module}
    assert "aiohttp" in packages
    assert not {"typer", "rich", "pymodbus", "bacpypes3", "asyncua"} & packages


def test_the_daemon_answers_and_stops_with_0(folder: Path) -> None:
    """The control socket is there while it runs and gone afterwards."""
    with running(folder) as daemon:
        status = Client(folder / "control.sock").status()
        assert (status.gateway, status.lines) == ("gw-1", [])
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(15) == 0
    assert not (folder / "control.sock").exists()


def test_6_metrics_and_probes_of_a_gateway_that_reaches_nobody(folder: Path) -> None:
    """With a dead line and a dead broker it is alive and ready, and every metric but those of answers is told."""
    (folder / "lines.yaml").write_text("lines: {one: {protocol: modbus, host: 127.0.0.1, port: 1}}\n", encoding="utf-8")
    device = "devices:\n  lv-1: {line: one, profile: schneider-pm5300}\n"
    (folder / "devices" / "lv.yaml").write_text(device, encoding="utf-8")
    uplinks = 'uplinks: {platform: {brokers: ["mqtt://127.0.0.1:1"]}}\n'
    (folder / "gateway.yaml").write_text(GATEWAY + uplinks, encoding="utf-8")
    with running(folder):
        asked = [ask(folder / "control.sock", target) for target in ("/healthz", "/readyz", "/metrics")]
    assert [code for code, _, _ in asked] == [200, 200, 200]
    text = asked[-1][-1]
    silent = {metric.name for metric in TABLE if f"\n{metric.name}" not in text}
    confirming = {"wardgate_uplink_unconfirmed_records", "wardgate_uplink_confirmed_total"}
    quiet = {"wardgate_alarms_worst"}  # told once something has called
    assert silent - quiet == {"wardgate_device_round_trip_seconds", *confirming}
    assert 'wardgate_line_up{line="one",protocol="modbus"} 0.0' in text
    assert 'wardgate_uplink_connected{uplink="platform"} 0.0' in text


def test_9_alarms_that_wait_for_a_name_are_a_health_condition(folder: Path) -> None:
    """A red alarm that does not run is not only told by `check`, which somebody may have run long ago."""
    (folder / "lines.yaml").write_text("lines: {one: {protocol: modbus, host: 127.0.0.1, port: 1}}\n", encoding="utf-8")
    device = """
devices:
  icu-3:
    line: one
    system: medgas.area
    points: {o2_p: {register: 0, unit: kPa, poll: L}}
    alarms: {pack: medgas.area}
"""
    (folder / "devices" / "icu.yaml").write_text(device, encoding="utf-8")
    with running(folder):
        found = Client(folder / "control.sock").status().health
    (waits,) = (each for each in found if each.code == "alarms_unconfirmed")
    assert (waits.target, waits.severity) == ("icu-3", "warning")
    assert waits.detail == "oxygen-pressure, oxygen-deviation"


def test_the_daemon_is_found_by_its_configuration_in_the_environment(folder: Path) -> None:
    """`WARDGATE_CONFIG` serves every verb, so nothing else has to be typed."""
    environment = {**os.environ, "WARDGATE_CONFIG": str(folder), "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "agent", "status"]
    with running(folder):
        said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20, check=True)
    assert "h01/gw-1" in said.stdout


@pytest.mark.parametrize("verb", ["run", "check"])
def test_run_and_check_refuse_a_wrong_configuration_with_the_same_words(folder: Path, verb: str) -> None:
    """Every mistake on a line of its own, exit code 1, nothing on stdout."""
    (folder / "gateway.yaml").write_text(GATEWAY.replace("site", "sit"), encoding="utf-8")
    (folder / "lines.yaml").write_text("lines: {a: {protocol: modbuz}}\n", encoding="utf-8")
    command = [sys.executable, "-m", "agent", verb, "--config", str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (said.returncode, said.stdout) == (1, "")
    first, *others = said.stderr.splitlines()
    assert first.startswith("gateway.yaml:1:1: sit: ")
    assert any(line.startswith("lines.yaml:1:") for line in others)


def test_check_says_what_a_good_configuration_holds(folder: Path) -> None:
    """Counts on stdout, warnings on stderr, exit code 0."""
    command = [sys.executable, "-m", "agent", "check", "--config", str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert said.returncode == 0
    assert said.stdout.startswith("fine (c-")
    assert said.stdout.endswith("): 0 lines, 0 devices, 0 points, 0 alarms, 1 warnings\n")
    assert said.stderr.startswith("warning: gateway.yaml")


def test_what_it_runs_with_can_be_compared_while_it_runs_and_afterwards(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change in the folder is told against what the daemon took at its start, also when it has stopped."""
    with running(folder) as daemon:
        deadline = time.monotonic() + 20
        while not all_kept(folder / "state"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        taken = Client(folder / "control.sock").configuration().version
        (folder / "gateway.yaml").write_text(f"{GATEWAY}time_zone: Asia/Shanghai\n", encoding="utf-8")
        assert difference(folder, capsys) == ("running", taken, "time_zone")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
    assert difference(folder, capsys) == ("kept", taken, "time_zone")


def difference(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str, str]:
    """Against what, its version, and the one field that is different."""
    assert main(["check", "--config", str(folder), "--diff", "--json"]) == 0
    view = json.loads(capsys.readouterr().out)
    (changed,) = (part for kind in view["changes"] for part in kind["changed"])
    (field,) = changed["fields"]
    return view["against"]["source"], view["against"]["version"], field["field"]


def test_a_state_folder_that_cannot_be_written_stops_nothing(folder: Path) -> None:
    """Reading devices matters more than keeping a copy of the configuration; the log says that there is none."""
    (folder / "state").write_text("a file", encoding="utf-8")
    with running(folder) as daemon:
        assert Client(folder / "control.sock").status().site == "h01"
        daemon.send_signal(signal.SIGTERM)
        _, said = daemon.communicate(timeout=20)
    assert daemon.returncode == 0
    assert "configuration not kept" in said
