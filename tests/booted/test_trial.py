"""A release on trial: what hangs is taken back, and the verdict is given also when nobody is left to wait for it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from booted_machine import BUNDLES, DEBIAN, SHARED, Machine, booted, bundle, changed_bundle
from booted_site import (
    act,
    bring_tools,
    configure_example,
    current,
    everything_runs,
    install,
    report,
    restarts,
    start_broker,
    start_hospital,
    start_platform,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)

READY = '        self._manager.tell("READY=1")\n'
BLOCK_LOOP = """
        import time
        time.sleep(3600)
"""
BLOCK_WRITER = """
        import threading
        (thread,) = (found for found in threading.enumerate() if found.name == "journal-writer")
        thread._target.__self__.put_job(lambda *_: threading.Event().wait())
"""
READS = 'READER = 3\n"""What this release can read."""\n\nmigrations = Migrations("wardgate.journal")\n'
READS_MORE = """READER = 99
migrations = Migrations("wardgate.journal")

@migrations()
def later(db: Database) -> None:
    db.conn.execute("UPDATE meta SET value = 99 WHERE key = 'min_reader'")

"""
VERSIONS = {"loop": "98.0.1", "writer": "98.0.2", "newer": "98.0.3", "good": "98.0.4"}
CHANGES = {
    "loop": {"agent/service.py": (READY, READY + BLOCK_LOOP)},
    "writer": {"agent/service.py": (READY, READY + BLOCK_WRITER)},
    "newer": {"buffer/migrations.py": (READS, READS_MORE)},
    "good": {},
}
"""Releases that get ready and then hang; one whose journal older releases cannot read; one that is well."""


@pytest.fixture(scope="module")
def hospital(machine: Machine) -> Iterator[Machine]:
    """The example hospital with its gateway; in the end its platform has all that there was."""
    install(machine)
    configure_example(machine)
    bring_tools(machine)
    start_broker(machine)
    start_hospital(machine)
    start_platform(machine)
    machine.run("systemctl", "start", "wardgate")
    everything_runs(machine)
    yield machine
    machine.run("systemctl", "stop", "wardgate")
    assert report(machine)["verdict"] == "COMPLETE"


def prepare(machine: Machine, name: str) -> str:
    """A release of that kind beside the others; its installer."""
    if not (machine.shared / name).exists():
        changed_bundle(machine.shared / name, VERSIONS[name], CHANGES[name])
    return f"{SHARED}/{name}/install.sh"


def begin(machine: Machine, name: str) -> None:
    """An upgrade, to where the new release is on trial."""
    before = machine.about("MainPID")
    machine.start("upgrade", "sh", prepare(machine, name))
    machine.until(lambda: current(machine).startswith(VERSIONS[name]) and machine.about("MainPID") != before)
    machine.until(lambda: machine.about("ActiveState") == "active")


@pytest.mark.parametrize("place", ["loop", "writer"])
def test_a_release_that_hangs_once_it_is_ready_is_taken_back(hospital: Machine, place: str) -> None:
    """Before its watchdog would have restarted it for ever; the operator reads what was wrong, and where it stood."""
    before = current(hospital)
    said = hospital.sh(f"sh {prepare(hospital, place)} 2>&1", codes=(1,))
    assert "is not healthy: it gives no sign of life: event loop or journal writer hangs" in said
    assert f"install.sh: back to {before}; release {VERSIONS[place]}-" in said
    assert "agent/service.py" in said  # where every thread stood
    assert said.endswith(f"install.sh: {before} runs again\n")
    assert current(hospital) == before
    everything_runs(hospital)
    hospital.run("wardgate", "journal", "verify")
    assert hospital.sh("ls /opt/wardgate/trial 2>/dev/null || true") == ""


def test_a_trial_is_finished_for_an_installer_that_was_killed(hospital: Machine) -> None:
    """An alarm that comes up while the new release hangs is told by the old one."""
    before = current(hospital)
    begin(hospital, "loop")
    act(hospital, "fire")
    hospital.run("systemctl", "kill", "--signal=KILL", "upgrade")
    hospital.until(lambda: current(hospital) == before)
    everything_runs(hospital)
    assert "fire" in hospital.run("wardgate", "alarms", codes=(0, 1))
    hospital.until(lambda: hospital.about("ActiveState", "wardgate-trial") == "failed")
    assert f"{before} runs again" in hospital.log("wardgate-trial")


def test_an_older_release_that_cannot_read_the_journal_leaves_the_newer_one_running(hospital: Machine) -> None:
    """It says so by itself, and soon. Where it was put there by hand and never starts, the newer one helps."""
    old = current(hospital)
    hospital.run("sh", prepare(hospital, "newer"))
    newer = current(hospital)
    assert newer.startswith(VERSIONS["newer"])
    everything_runs(hospital)
    said = hospital.sh(f"sh /opt/wardgate/current/service/install.sh --release {old} 2>&1", codes=(1,))
    assert "is not healthy: it is not ready after" in said
    assert "journal" in said.lower()
    assert current(hospital) == newer
    everything_runs(hospital)
    hospital.sh(f"ln -sfn releases/{old} /opt/wardgate/current; systemctl restart --no-block wardgate")
    hospital.until(lambda: restarts(hospital) > 0 and hospital.about("ActiveState") == "activating")
    said = hospital.run("sh", f"/opt/wardgate/releases/{newer}/service/install.sh", "--release", newer)
    assert said == f"wardgate {newer} runs\n"
    everything_runs(hospital)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    if not (DEBIAN / ".complete").exists() or not BUNDLES.exists():
        pytest.skip("no Debian to boot, or nothing to install: make test-systemd")
    subprocess.run(["cp", "-a", DEBIAN, tmp_path / "disk"], check=True)
    return tmp_path / "disk"


def test_a_power_cut_amid_a_trial_leaves_the_verdict_to_the_next_start(disk: Path, tmp_path: Path) -> None:
    """A release that is well stays; one that hangs is taken back, and the unit that did it says so."""
    shared = tmp_path / "shared"
    shutil.copytree(bundle(), shared / bundle().name)
    with booted(shared, disk) as machine:
        install(machine)
        configure_example(machine)
        machine.run("systemctl", "start", "wardgate")
        begin(machine, "good")
        machine.cut_power()
    with booted(shared, disk) as machine:
        machine.until(lambda: machine.sh("ls /opt/wardgate/trial 2>/dev/null || true") == "")
        good = current(machine)
        assert good.startswith(VERSIONS["good"])
        assert f"wardgate {good} runs" in machine.log("wardgate-trial")
        begin(machine, "loop")
        machine.cut_power()
    with booted(shared, disk) as machine:
        machine.until(lambda: machine.about("ActiveState", "wardgate-trial") == "failed")
        assert current(machine) == good
        assert machine.about("ActiveState") == "active"
        told = machine.log("wardgate-trial")
        assert "was left on trial" in told
        assert f"{good} runs again" in told
        machine.run("systemctl", "restart", "wardgate")
        machine.until(lambda: machine.about("ConditionResult", "wardgate-trial") == "no")
        machine.run("sh", "/opt/wardgate/current/service/uninstall.sh", "--purge")
        assert "wardgate" not in machine.run("systemctl", "list-unit-files")
