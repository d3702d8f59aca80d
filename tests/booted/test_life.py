"""The life of an installed gateway in one run: installed, configured, hung, upgraded to a broken release, swapped."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from booted_machine import SHARED, changed_bundle
from booted_site import (
    CURRENT,
    act,
    bring_tools,
    configure_example,
    everything_runs,
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

SOCKET = "/run/wardgate/control.sock"
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


def test_install_configure_hang_upgrade_swap_and_remove(machine: Machine) -> None:
    """Nothing is lost on the way, and in the end nothing is left but what belongs to the operator."""
    install(machine)
    configure_example(machine)
    bring_tools(machine)
    start_broker(machine)
    start_hospital(machine)
    start_platform(machine)
    let_it_hang(machine)
    machine.run("systemctl", "start", "wardgate")
    ready = ("curl", "--silent", "--unix-socket", SOCKET, "http://wardgate/readyz")
    machine.until(lambda: '"ok":true' in machine.run(*ready))
    everything_runs(machine)
    raise_and_acknowledge(machine)
    change_the_configuration(machine)

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
    interrupt_upgrade(machine, "broken")
    assert machine.run("readlink", CURRENT) == before
    everything_runs(machine)

    seen = acknowledged(machine)
    assert seen
    swap_the_box(machine)
    everything_runs(machine)
    assert acknowledged(machine) == seen

    machine.run("systemctl", "stop", "wardgate")
    assert report(machine)["verdict"] == "COMPLETE"
    machine.run("sh", f"{CURRENT}/service/uninstall.sh")
    assert left(machine) == ["/etc/wardgate", "/var/lib/wardgate"]
    assert "wardgate.service" not in machine.run("systemctl", "list-unit-files")


def raise_and_acknowledge(machine: Machine) -> None:
    """It burns, and somebody has seen it."""
    act(machine, "fire")
    machine.until(lambda: bool(alarms(machine)))
    for alarm in alarms(machine):
        machine.run("wardgate", "alarms", "ack", alarm["alarm_id"])


def change_the_configuration(machine: Machine) -> None:
    """What is wrong is refused, and nothing has changed; of what is right only one line is opened anew."""
    power, seen = "/etc/wardgate/devices/power.yaml", acknowledged(machine)
    machine.sh(f"cp {power} /srv/power.yaml; sed -i 's/line: ups$/line: nowhere/' {power}")
    machine.run("systemctl", "reload", "wardgate", codes=(1,))
    assert "devices/power.yaml:" in machine.log()
    assert "config_refused" in machine.run("wardgate", "status", "--json")
    everything_runs(machine)
    before = opened(machine)
    machine.sh(f"sed 's/en: Theatre UPS/en: UPS of the theatres/' /srv/power.yaml >{power}; systemctl reload wardgate")
    machine.until(lambda: opened(machine) != before)
    assert opened(machine) - before == Counter({"ups": 1})
    everything_runs(machine)
    assert acknowledged(machine) == seen
    assert "config_refused" not in machine.run("wardgate", "status", "--json")
    assert machine.run("wardgate", "config", "history").splitlines()[-1].split()[-1] == "wardgate"


def opened(machine: Machine) -> Counter[str]:
    """How often each line was opened so far."""
    return Counter(re.findall(r"line up line=(\S+)", machine.log()))


def alarms(machine: Machine) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads(machine.run("wardgate", "alarms", "--json", codes=(0, 1)))
    return listed


def acknowledged(machine: Machine) -> set[tuple[str, str]]:
    """Occurrences that somebody has seen, and by whom."""
    return {(alarm["occurrence_id"], alarm["ack_by"]) for alarm in alarms(machine) if alarm["ack_by"]}


def swap_the_box(machine: Machine) -> None:
    """A backup, nothing left of the gateway, and all of it back; a second root is filled on the way."""
    machine.write("/srv/passphrase", "only for this test\n")
    secret = ["--passphrase-file", "/srv/passphrase"]
    machine.run("wardgate", "backup", "/srv/gw-1.backup", *secret)
    machine.run("mkdir", "-p", "/srv/second/etc")
    install(machine, None, "--root", "/srv/second")
    machine.run("wardgate", "restore", "/srv/gw-1.backup", "--root", "/srv/second", *secret)
    assert machine.sh("cd /srv/second; ls etc/wardgate/lines.yaml var/lib/wardgate/journal/journal.db")
    machine.run("sh", f"{CURRENT}/service/uninstall.sh", "--purge")
    assert left(machine) == []
    install(machine)
    machine.run("wardgate", "restore", "/srv/gw-1.backup", *secret)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "wardgate")


def left(machine: Machine) -> list[str]:
    return machine.sh("ls -d /opt/wardgate /etc/wardgate /var/lib/wardgate 2>/dev/null || true").split()


def interrupt_upgrade(machine: Machine, folder: str) -> None:
    """As when the operator's terminal goes away while the new release is on trial."""
    before = machine.run("readlink", CURRENT)
    machine.start("upgrade", "sh", f"{SHARED}/{folder}/install.sh")
    machine.until(lambda: machine.run("readlink", CURRENT) != before)
    machine.run("systemctl", "kill", "--signal=HUP", "upgrade")
    machine.until(lambda: machine.about("ActiveState", "upgrade") in {"inactive", "failed"})
