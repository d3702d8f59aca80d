"""What stands around a gateway on a booted machine: hospital, broker and platform; and its ways to hang."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from booted_machine import SHARED, bundle

if TYPE_CHECKING:
    from booted_machine import Machine

BROKER = "mqtt://127.77.0.2:1883"
CURRENT = "/opt/wardgate/current"
TOOLS = "/opt/tools"
PYTHON = f"{TOOLS}/bin/python"
HOSPITAL = "/run/hospital.sock"
EXAMPLES = "config/examples"

HANGS = """
# What a bug may do: a loop that is blocked (USR1), a writer that waits for ever (USR2).
import signal, threading, time

def block_loop(*_):
    time.sleep(3600)

def block_writer(*_):
    (thread,) = (found for found in threading.enumerate() if found.name == "journal-writer")
    thread._target.__self__.put_job(lambda *_: threading.Event().wait())

signal.signal(signal.SIGUSR1, block_loop)
signal.signal(signal.SIGUSR2, block_writer)
"""


def configure_example(machine: Machine) -> None:
    """The example hospital, with the places that an installed service uses. Without security on the one line where a
    technician would have to compare thumbprints first.
    """
    machine.sh(f"""
        cp -r {CURRENT}/lib/python3*/site-packages/{EXAMPLES}/. /etc/wardgate
        sed -i -e '/^control_socket:/d' -e '/^state:/d' -e '/^  path: /d' /etc/wardgate/gateway.yaml
        sed -i 's/^    publishing: 500ms$/&\\n    security: none/' /etc/wardgate/lines.yaml
        wardgate check
    """)


def bring_tools(machine: Machine) -> None:
    """A copy of the release that is current now, for what must outlive it: hospital and platform."""
    machine.sh(f"cp -a $(readlink -f {CURRENT}) {TOOLS}")


def start_hospital(machine: Machine) -> None:
    """Every device of the example hospital."""
    machine.start("hospital", PYTHON, "-m", "hardware_mocks", "--control", HOSPITAL)


def act(machine: Machine, action: str) -> None:
    """Something happens to the hospital."""
    order = json.dumps({"do": "act", "action": action})
    assert '"ok": true' in machine.sh(f"echo '{order}' | socat -t 10 - UNIX-CONNECT:{HOSPITAL}")


def start_broker(machine: Machine, *settings: str) -> None:
    text = "\n".join(["listener 1883 127.77.0.2", *(settings or ("allow_anonymous true",)), ""])
    machine.write("/etc/mosquitto/site.conf", text)
    machine.start("broker", "/usr/sbin/mosquitto", "-c", "/etc/mosquitto/site.conf")


def start_platform(machine: Machine) -> None:
    """The reference consumer; what it says at its end is in the shared folder."""
    report = f"--property=StandardOutput=truncate:{SHARED}/report.json"
    words = "--property=StandardError=journal"
    command = [PYTHON, "-m", "agent", "consume", BROKER, "--json", "--sqlite", f"{SHARED}/platform.db"]
    machine.start("platform", report, words, *command)


def report(machine: Machine) -> dict[str, Any]:
    """What the platform says of all that it was sent; it ends here."""
    machine.run("systemctl", "stop", "platform")
    said: dict[str, Any] = json.loads((machine.shared / "report.json").read_text())
    return said


def let_it_hang(machine: Machine, watchdog_s: int | None = None) -> None:
    """From its next start on the gateway hangs when it is told to."""
    machine.write("/opt/hangs/sitecustomize.py", HANGS)
    seconds = f"WatchdogSec={watchdog_s}\n" if watchdog_s else ""
    drop_in(machine, "hangs", f"Environment=PYTHONPATH=/opt/hangs\n{seconds}")


def drop_in(machine: Machine, name: str, service: str) -> None:
    machine.write(f"/etc/systemd/system/wardgate.service.d/{name}.conf", f"[Service]\n{service}")
    machine.run("systemctl", "daemon-reload")


def install(machine: Machine, folder: str | None = None, *options: str, codes: tuple[int, ...] = (0,)) -> str:
    """The bundle, which the machine sees in its shared folder."""
    return machine.run("sh", f"{SHARED}/{folder or bundle().name}/install.sh", *options, codes=codes)


def current(machine: Machine) -> str:
    """The release that runs."""
    return machine.run("readlink", CURRENT).strip().removeprefix("releases/")


def everything_runs(machine: Machine) -> None:
    """The example hospital is read and nothing waits, as `systemctl status` says."""
    machine.until(lambda: machine.about("ActiveState") == "active")
    machine.until(lambda: "lines 12 of 12 up; devices 14 of 14 online" in machine.about("StatusText"))
    machine.until(lambda: "connected, 0 records wait" in machine.about("StatusText"))


def restarts(machine: Machine) -> int:
    return int(machine.about("NRestarts"))
