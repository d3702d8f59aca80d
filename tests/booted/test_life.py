"""The life of an installed gateway in one run: installed, configured, hung, upgraded to a broken release, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from booted_machine import changed_bundle
from booted_site import (
    CURRENT,
    configure_example,
    install,
    let_it_hang,
    report,
    restarts,
    start_broker,
    start_hospital,
    start_platform,
)

if TYPE_CHECKING:
    from booted_machine import Machine

pytestmark = pytest.mark.timeout(900)

MIGRATION = """@migrations()
def later(db: Database) -> None:
    db.conn.execute("ALTER TABLE lane ADD COLUMN note TEXT")


"""
READY = '        self._manager.tell("READY=1")\n'
DEATH = "        await asyncio.sleep(2)\n        os._exit(7)\n"
DIES_LATE = {
    "agent/service.py": (READY, READY + DEATH),
    "buffer/migrations.py": ("def migrate(connection", MIGRATION + "def migrate(connection"),
}
"""A release that brings the journal up to its own schema, says that it is ready, and then dies again and again."""


COLUMNS = """
import sqlite3
print(*sqlite3.connect("/var/lib/wardgate/journal/journal.db").execute("PRAGMA table_info(lane)"))
"""


def test_install_configure_hang_upgrade_and_remove(machine: Machine) -> None:
    """Nothing is lost on the way, and in the end nothing is left but what belongs to the operator."""
    install(machine)
    configure_example(machine)
    start_broker(machine)
    start_hospital(machine)
    start_platform(machine)
    let_it_hang(machine)
    machine.run("systemctl", "start", "wardgate")
    everything_runs(machine)

    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=USR1", "wardgate")
    machine.until(lambda: restarts(machine) == 1)
    assert "Watchdog timeout" in machine.log()
    everything_runs(machine)

    before = machine.run("readlink", CURRENT)
    changed_bundle(machine.shared / "broken", "99.0.0", DIES_LATE)
    install(machine, "broken", codes=(1,))
    assert machine.run("readlink", CURRENT) == before
    everything_runs(machine)
    assert "note" in machine.run("python3", "-c", COLUMNS)

    machine.run("systemctl", "stop", "wardgate")
    assert report(machine)["verdict"] == "COMPLETE"

    machine.run("sh", f"{CURRENT}/service/uninstall.sh")
    assert machine.sh("ls -d /opt/wardgate /etc/wardgate /var/lib/wardgate || true").split() == [
        "/etc/wardgate",
        "/var/lib/wardgate",
    ]
    assert "wardgate.service" not in machine.run("systemctl", "list-unit-files")


def everything_runs(machine: Machine) -> None:
    """`systemctl status` says it."""
    machine.until(lambda: machine.about("ActiveState") == "active")
    machine.until(lambda: "lines 12 of 12 up; devices 14 of 14 online" in machine.about("StatusText"))
    machine.until(lambda: "connected, 0 records wait" in machine.about("StatusText"))
