"""The pages for whoever looks after an installed gateway: its log, the box swap, and what sentences tell to type."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest
import typed
from booted_machine import SHARED
from booted_site import (
    CURRENT,
    HOSPITAL,
    act,
    bring_tools,
    configure_example,
    install,
    start_broker,
    start_hospital,
)
from shown_commands import at_home, blocks, told

if TYPE_CHECKING:
    from booted_machine import Machine

pytestmark = pytest.mark.timeout(900)

COMMANDS = at_home(__file__)
PASSPHRASE = "correct horse battery staple"
ANSWERS = [("passphrase", PASSPHRASE), ("Repeat", PASSPHRASE)]
ANSWERING = """
import sys
from pathlib import Path
from typed import Typist

said = Typist({}).answer(sys.argv[1], Path("/srv"), %r)
print(said.text)
sys.exit(said.code)
"""
DEVICE = "lv-main"
REFUSED = ("Unknown command", "unrecognized option", "invalid option", ": not found")


def run(machine: Machine, command: str) -> str:
    """Where it asks for a passphrase, somebody types it."""
    asks = "--" not in command and command.split()[1:3] in (["wardgate", "backup"], ["wardgate", "restore"])
    if asks:
        answers = ANSWERS if "backup" in command.split() else ANSWERS[:1]
        machine.write("/srv/answering.py", ANSWERING % answers)
        return machine.sh(f"PYTHONPATH={SHARED} python3 /srv/answering.py {shlex.quote(command)}")
    return machine.sh(f"export SYSTEMD_EDITOR=true SYSTEMD_PAGER=cat; cd /srv; {command}")


def alarms(machine: Machine) -> set[tuple[str, str, str]]:
    """Those of the fire: they stand until somebody resets the panel."""
    listed = json.loads(machine.run("wardgate", "alarms", "--json"))
    return {(each["alarm_id"], each["occurrence_id"], each["ack_by"]) for each in listed if each["system"] == "fire"}


def everything_runs(machine: Machine) -> None:
    machine.until(lambda: "lines 12 of 12 up; devices 14 of 14 online" in machine.about("StatusText"))


def prepare(machine: Machine) -> None:
    """An old box with a hospital, an alarm that somebody has seen and a secret; a stick, and a folder for the timer."""
    shutil.copy(typed.__file__, machine.shared)
    machine.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n')
    machine.write("/etc/backup.passphrase", PASSPHRASE)
    machine.sh("chmod +x /usr/local/bin/sudo; mkdir -p /media/usb /srv/backup /dev/serial/by-id")
    for block in blocks("docs/box-swap.md"):
        if path := block.kind.partition("file=")[2]:
            machine.write(path, "\n".join(block.lines))
    install(machine)
    configure_example(machine)
    bring_tools(machine)
    start_broker(machine)
    start_hospital(machine)
    machine.run("systemctl", "start", "wardgate")
    everything_runs(machine)
    act(machine, "fire")
    machine.until(lambda: bool(alarms(machine)))
    for alarm_id, _, _ in alarms(machine):
        machine.run("wardgate", "alarms", "ack", alarm_id)


def lose_a_device(machine: Machine) -> None:
    order = json.dumps({"do": "fault", "device": DEVICE, "fault": "refuse", "seconds": None})
    machine.sh(f"echo '{order}' | socat -t 10 - UNIX-CONNECT:{HOSPITAL}")
    machine.until(lambda: "devices 13 of 14 online" in machine.about("StatusText"))


def test_10_every_command_of_log_and_box_swap_does_what_it_says(machine: Machine) -> None:
    """The log tells of a device that is lost; the new box goes on with the alarms of the old one."""
    prepare(machine)
    seen = alarms(machine)
    sections = dict.fromkeys((command.page, command.section) for command in COMMANDS)
    said: dict[str, str] = {}
    for page, section in sections:
        if section == "The day: fifteen minutes":
            machine.run("systemctl", "stop", "wardgate")
            machine.sh(f"sh {CURRENT}/service/uninstall.sh --purge")
            install(machine)
        if section == "The log":
            lose_a_device(machine)
        for command in COMMANDS:
            if (command.page, command.section) == (page, section):
                said[command.text] = run(machine, command.text)
        if section == "The day: fifteen minutes":
            everything_runs(machine)
            assert alarms(machine) == seen
    assert machine.sh("ls /srv/backup").split() == ["gw-1.backup"]
    assert machine.about("Result", "wardgate-backup") == "success"
    assert machine.about("ActiveState", "wardgate-backup.timer") == "active"
    assert f"device={DEVICE}" in said[f"journalctl -u wardgate WARDGATE_DEVICE={DEVICE}"]
    assert "line lost" in said["journalctl -u wardgate -p warning"]


@pytest.mark.parametrize("said", told())
def test_10_what_a_sentence_tells_to_type_is_understood(said: str, machine: Machine) -> None:
    """Whatever it then has to say of a machine that is as it is after the test before."""
    done = machine.sh(f"export SYSTEMD_EDITOR=true SYSTEMD_PAGER=cat; {said} 2>&1", codes=(0, 1, 2, 3, 4, 5))
    assert not [words for words in REFUSED if words in done], done
