"""The unit and what is installed beside it, judged by systemd's own tools and by what the gateway needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.uplink.uplink import DRAIN_S_MAX
from config.files import GatewaySpec

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "wardgate.service"
TRIAL = SYSTEMD / "wardgate-trial.service"
SERIAL = SYSTEMD / "serial.conf"
EXPOSURE_TENTHS_MAX = 15
EXPOSURE_TENTHS_MAX_SERIAL = 18
EXPOSURE_TENTHS_MAX_TRIAL = 5
ROOM_TO_STOP = 10
"""The service manager waits so many times as long for the end as the uplinks do for their broker."""


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}: install systemd")
    return found


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def settings(name: str, file: Path = UNIT) -> list[str]:
    """Every value of one setting, in order."""
    return re.findall(rf"^{name}=(.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def startable(tmp_path: Path) -> Path:
    """The unit with a program that is there, alone in a folder."""
    program = tmp_path / "wardgate"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit, commands in ((UNIT, 2), (TRIAL, 1)):
        text, replaced = re.subn(r"(?m)^(ExecStart|ExecReload)=\S+", rf"\1={program}", unit.read_text(encoding="utf-8"))
        assert replaced == commands
        (tmp_path / unit.name).write_text(text)
    return tmp_path / UNIT.name


def open_serial_ports(unit: Path) -> None:
    """The unit as the drop-in makes it."""
    with unit.open("a") as text:
        text.write("\n" + SERIAL.read_text(encoding="utf-8"))


def exceeds(unit: Path, tenths: int) -> str:
    """What systemd says where the exposure is more; empty where it is not."""
    judged = run(tool("systemd-analyze"), "security", "--offline=yes", "--no-pager", f"--threshold={tenths}", unit)
    return judged.stdout + judged.stderr if judged.returncode else ""


def test_the_exposure_is_at_most_1_5(startable: Path) -> None:
    """The sum that systemd makes of everything that a flaw in the gateway could reach."""
    assert exceeds(startable, EXPOSURE_TENTHS_MAX) == ""


def test_serial_ports_cost_at_most_0_3_more(startable: Path) -> None:
    """Only where there are serial lines."""
    open_serial_ports(startable)
    assert exceeds(startable, EXPOSURE_TENTHS_MAX_SERIAL) == ""
    assert exceeds(startable, EXPOSURE_TENTHS_MAX) != ""


def test_what_judges_a_release_may_change_units_and_little_else(startable: Path) -> None:
    """It is root."""
    assert exceeds(startable.with_name(TRIAL.name), EXPOSURE_TENTHS_MAX_TRIAL) == ""


@pytest.mark.parametrize("serial", [False, True])
def test_verify_prints_nothing(startable: Path, serial: bool) -> None:
    """Unknown keys and bad values are only printed, and the exit code is 0 all the same."""
    if serial:
        open_serial_ports(startable)
    judged = run(tool("systemd-analyze"), "verify", "--man=no", startable, startable.with_name(TRIAL.name))
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


def test_the_gateway_may_ask_whether_the_clock_is_synchronized() -> None:
    """ProtectClock= would forbid the question, and every event would say that the clock is not synchronized."""
    assert "yes" not in settings("ProtectClock")
    assert settings("SystemCallFilter")[-1] == "adjtimex"
    assert settings("CapabilityBoundingSet") == [""]


def test_the_control_socket_may_learn_who_an_operator_is() -> None:
    """In a user namespace of its own the kernel would call every peer nobody, and so would the audit trail."""
    assert settings("PrivateUsers") == ["no"]


def test_bacnet_may_search_and_private_networks_may_be_reached() -> None:
    """Devices, brokers and name servers have addresses of these networks; what else there is, the site adds."""
    (allowed,) = settings("IPAddressAllow")
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "localhost", "255.255.255.255"} <= set(allowed.split())


def test_it_is_restarted_without_limit() -> None:
    """A hospital has nobody at night who would start it again."""
    assert settings("StartLimitIntervalSec") == ["0"]
    assert settings("Restart") == ["always"]


def test_the_default_places_are_folders_that_the_unit_makes() -> None:
    """Everything else is read-only for the service."""
    gateway = GatewaySpec.model_validate({"site": "h01", "gateway": "gw-1"})
    assert settings("ProtectSystem") == ["strict"]
    assert str(gateway.control_socket.parent) == f"/run/{settings('RuntimeDirectory')[0]}"
    assert str(gateway.journal.path.parent) == f"/var/lib/{settings('StateDirectory')[0]}"
    assert settings("ExecStart")[0].endswith(f"--config /etc/{settings('ConfigurationDirectory')[0]}")


def test_there_is_time_to_stop_in_order() -> None:
    """Killed half way it would lose nothing, but say that it ended badly."""
    assert float(settings("TimeoutStopSec")[0]) >= ROOM_TO_STOP * DRAIN_S_MAX


def test_the_user_is_made(tmp_path: Path) -> None:
    """By systemd's own tool, in a root of its own."""
    (tmp_path / "etc").mkdir()
    made = run(tool("systemd-sysusers"), f"--root={tmp_path}", SYSTEMD / "sysusers.conf")
    assert made.returncode == 0, made.stderr
    name = settings("User")[0]
    assert f"\n{name}:" in "\n" + (tmp_path / "etc" / "passwd").read_text()
    assert f"\n{settings('Group')[0]}:" in "\n" + (tmp_path / "etc" / "group").read_text()


def test_serial_adapters_that_are_plugged_in_later_are_known() -> None:
    """A name that the kernel does not know at the start is left out of what is allowed."""
    modules = (SYSTEMD / "modules-load.conf").read_text().splitlines()
    assert {"char-ttyUSB rw", "char-ttyACM rw", "char-ttyS rw"} == set(settings("DeviceAllow", SERIAL))
    assert {"usbserial", "cdc_acm"} <= set(modules)
    assert settings("PrivateDevices", SERIAL) == ["no"]
    assert settings("SupplementaryGroups", SERIAL) == ["dialout"]


def test_a_trial_is_known_by_the_file_that_the_installer_leaves() -> None:
    """Whoever starts the gateway starts its judge, and the judge is gone at once where nothing is on trial."""
    installer = (SYSTEMD / "install.sh").read_text(encoding="utf-8")
    assert settings("Wants") == [TRIAL.name]
    assert settings("ConditionPathExists", TRIAL) == ["/opt/wardgate/trial"]
    assert 'echo "$previous" >"$opt/trial"' in installer
    assert settings("ReadWritePaths", TRIAL) == ["/opt/wardgate /etc/systemd/system -/etc/modules-load.d"]


def test_what_each_limit_costs_is_told() -> None:
    """A setting without a word is one that nobody dares to change, and one too many is a promise that is not kept."""
    service = UNIT.read_text(encoding="utf-8").partition("[Service]")[2].partition("[Install]")[0]
    named = {*re.findall(r"^(\w+)=", service, re.MULTILINE), "StartLimitIntervalSec"}
    table = (SYSTEMD / "README.md").read_text(encoding="utf-8").partition("| setting |")[2]
    told = re.findall(r"`(\w+)=([^`]*)`", "".join(line.split(" | ")[0] for line in table.splitlines()))
    assert named - {"ExecStart"} == {name for name, _ in told} - {"ProtectClock"}
    assert [(name, value) for name, value in told if value and value not in settings(name)] == []
