"""What the hardened unit leaves to the gateway: serial ports, broadcasts, secrets, operators, the local page; and who
restarts it when.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import booted_peers
import pytest
from booted_machine import SHARED
from booted_site import PYTHON, bring_tools, drop_in, install, let_it_hang, restarts, start_broker
from certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from booted_machine import Machine

pytestmark = pytest.mark.timeout(600)

WATCHDOG_S = 6
PASSWORD = "not-in-any-log"
PAGE_PASSWORD = "not-in-any-log-either"
PAGE = "https://127.0.0.1:8443"
PORT = "/dev/serial/by-id/usb-RS485-port0"
DARK = "lines: {dark: {protocol: modbus, host: 127.99.99.99}}"
DARK_DEVICE = "devices: {pump: {line: dark, system: water, points: {p: {register: 0}}}}"
GATEWAY = """
site: h01
gateway: gw-1
uplinks:
  platform:
    brokers: [mqtt://127.77.0.2:1883]
    user: gw-1
    password: {credential: mqtt-password}
"""


@pytest.fixture(scope="module", autouse=True)
def installed(machine: Machine) -> Iterator[None]:
    """The service, with nothing behind it that answers."""
    install(machine)
    bring_tools(machine)
    support = Path(booted_peers.__file__).parent
    for name in ("booted_peers.py", "rtu_peer.py", "modbus_peer.py"):
        shutil.copy(support / name, machine.shared)
    machine.write("/etc/wardgate/gateway.yaml", GATEWAY)
    machine.write("/etc/credstore/mqtt-password", PASSWORD)
    drop_in(machine, "secrets", "LoadCredential=mqtt-password:/etc/credstore/mqtt-password\n")
    let_it_hang(machine, WATCHDOG_S)
    reconfigure(machine, DARK, DARK_DEVICE)
    yield
    log = machine.log()
    assert PASSWORD not in log
    assert PAGE_PASSWORD not in log


def reconfigure(machine: Machine, lines: str, devices: str) -> None:
    machine.write("/etc/wardgate/lines.yaml", lines)
    machine.write("/etc/wardgate/devices/all.yaml", devices)
    machine.run("wardgate", "check")
    machine.run("systemctl", "restart", "wardgate")


def peer(machine: Machine, *arguments: str, namespace: str = "") -> None:
    """One of `booted_peers`."""
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    command = [*inside, PYTHON, f"{SHARED}/booted_peers.py", *arguments]
    machine.start(f"peer-{arguments[0]}", f"--setenv=PYTHONPATH={SHARED}", *command)


def status(machine: Machine) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(machine.run("wardgate", "status", "--json"))
    return told


def value(machine: Machine, device: str, point: str) -> object:
    points = json.loads(machine.run("wardgate", "points", device, "--json"))
    (found,) = (each for each in points if each["point"] == point)
    return found["value"]


def test_with_plant_and_broker_dark_it_is_ready_and_not_restarted(machine: Machine) -> None:
    """`systemctl start` has returned; for three times as long as the watchdog waits nothing happens to it."""
    before = machine.about("MainPID"), restarts(machine)
    machine.until(lambda: "lines 0 of 1 up; devices 0 of 1 online" in machine.about("StatusText"))
    machine.run("sleep", str(3 * WATCHDOG_S))
    assert (machine.about("MainPID"), restarts(machine)) == before
    assert machine.about("ActiveState") == "active"


def test_6_the_log_is_in_the_journal_with_its_fields_and_levels(machine: Machine) -> None:
    """A line that is lost is found by its name, as a warning, and its message can be read."""
    fields = ("WARDGATE_LINE=dark", "WARDGATE_EVENT=line lost")
    found = ("journalctl", "--quiet", "-u", "wardgate", *fields, "-p", "warning", "-o", "json", "-n", "1")
    machine.until(lambda: bool(machine.run(*found)))
    entry = json.loads(machine.run(*found))
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("4", "wardgate")
    assert entry["MESSAGE"].startswith("line lost line=dark state=down")
    assert entry["_SYSTEMD_UNIT"] == "wardgate.service"


def test_a_killed_one_is_started_again(machine: Machine) -> None:
    """As after a crash."""
    before = restarts(machine)
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "wardgate")
    machine.until(lambda: restarts(machine) == before + 1 and machine.about("ActiveState") == "active")


@pytest.mark.parametrize(("signal", "place"), [("USR1", "block_loop"), ("USR2", "block_writer")])
def test_one_that_hangs_is_restarted_and_says_where_it_stood(machine: Machine, signal: str, place: str) -> None:
    """The loop, or the journal's writer."""
    before = restarts(machine)
    machine.run("systemctl", "kill", "--kill-whom=main", f"--signal={signal}", "wardgate")
    machine.until(lambda: restarts(machine) == before + 1 and machine.about("ActiveState") == "active")
    assert "Watchdog timeout" in machine.log()
    assert place in machine.log() or "sitecustomize.py" in machine.log()


def test_a_secret_comes_by_credential(machine: Machine) -> None:
    """The broker lets in nobody else, and the file itself is closed to the gateway."""
    machine.sh(f"mosquitto_passwd -c -b /etc/mosquitto/users gw-1 {PASSWORD}; chmod 644 /etc/mosquitto/users")
    machine.sh("chmod 600 /etc/credstore/mqtt-password")
    start_broker(machine, "password_file /etc/mosquitto/users")
    machine.until(lambda: "platform connected" in machine.about("StatusText"))


def test_operators_are_known_by_name_and_others_are_not_let_in(machine: Machine) -> None:
    """The group of the service opens the control socket; with roles, the groups that they name do."""
    machine.sh("groupadd nurses; useradd --groups wardgate alice; useradd --groups nurses bob")
    alice, bob = (["setpriv", f"--reuid={who}", f"--regid={who}", "--init-groups"] for who in ("alice", "bob"))
    order = ["wardgate", "maintenance", "start", "--device", "pump", "--until", "1h", "--reason", "test"]
    machine.run(*alice, *order)
    assert "alice" in machine.run("wardgate", "maintenance", "list", "--json")
    machine.run(*bob, "wardgate", "status", codes=(3,))
    machine.write("/etc/wardgate/gateway.yaml", GATEWAY + "roles: {view: [nurses]}\n")
    machine.run("systemctl", "restart", "wardgate")
    machine.run(*bob, "wardgate", "status")
    machine.run(*bob, *order, codes=(1,))


def open_page(machine: Machine) -> str:
    """For the duty engineer and for Prometheus, whose token it gives; the key is root's alone."""
    Authority(machine.shared).issue("127.0.0.1", file="page")
    machine.sh(f"install -m 0600 {SHARED}/page.key /etc/credstore/; install -m 0644 {SHARED}/page.crt /etc/wardgate/")
    drop_in(machine, "page", "LoadCredential=page-key:/etc/credstore/page.key\n")
    of_password = machine.sh(f"echo {PAGE_PASSWORD} | wardgate password --stdin").strip()
    told, of_token = machine.sh("wardgate password --token 2>&1").splitlines()
    page = f"""
http:
  listen: "0.0.0.0:8443"
  tls: {{cert: page.crt, key: {{credential: page-key}}}}
  accounts:
    li-na: {{role: view, hash: "{of_password}"}}
    prometheus: {{role: view, hash: "{of_token}"}}
"""
    machine.write("/etc/wardgate/gateway.yaml", GATEWAY + page)
    machine.run("wardgate", "check")
    machine.run("systemctl", "restart", "wardgate")
    return told.split()[-1]


def asked(machine: Machine, path: str, *options: str) -> tuple[str, str]:
    """Status and body; nothing of both where nobody listens yet."""
    trusted = ("--cacert", f"{SHARED}/authority.pem")
    command = ("curl", "--silent", *trusted, "--write-out", "\n%{http_code}", *options, PAGE + path)
    body, _, code = machine.run(*command, codes=(0, 7)).rpartition("\n")
    return code, body


def test_the_local_page_is_served_to_whom_it_knows(machine: Machine) -> None:
    """Over TLS with a key by credential: page, login, metrics; nothing for others, and no more than the role."""
    token = open_page(machine)
    machine.until(lambda: asked(machine, "/")[0] == "200")
    assert "<html" in asked(machine, "/")[1]
    for path in ("/v1/status", "/metrics", "/v1/points?device=pump"):
        assert asked(machine, path)[0] == "401", path
    assert asked(machine, "/metrics", "--header", "Authorization: Bearer wrong")[0] == "401"
    login = ("--json", json.dumps({"account": "li-na", "password": PAGE_PASSWORD}), "--cookie-jar", "/srv/jar")
    assert asked(machine, "/v1/login", "--json", '{"account": "li-na", "password": "wrong-and-long"}')[0] == "401"
    assert asked(machine, "/v1/login", *login)[0] == "200"
    code, body = asked(machine, "/v1/status", "--cookie", "/srv/jar")
    assert (code, json.loads(body)["devices"][0]["id"]) == ("200", "pump")
    assert asked(machine, "/v1/config/reload", "--cookie", "/srv/jar", "--json", '{"reason": "test"}')[0] == "403"
    code, body = asked(machine, "/metrics", "--header", f"Authorization: Bearer {token}")
    assert code == "200"
    assert "wardgate_" in body
    machine.run("curl", "--silent", PAGE.replace("https", "http"), codes=(1, 52, 56))
    assert token not in machine.log()


def test_bacnet_searches_by_broadcast_on_its_own_port(machine: Machine) -> None:
    """On the interface whose address the line is bound to; the device is known by its number only."""
    machine.sh("""
        ip netns add plant
        ip link add e0 type veth peer name e0 netns plant
        ip addr add 10.77.0.1/24 brd + dev e0; ip link set e0 up
        ip -n plant addr add 10.77.0.9/24 brd + dev e0; ip -n plant link set e0 up; ip -n plant link set lo up
    """)
    peer(machine, "bacnet", "10.77.0.9/24", namespace="plant")
    address = f"address: {{instance: {booted_peers.BACNET_DEVICE}}}"
    points = 'points: {t: {object: "analog-input,1", unit: Cel}}'
    reconfigure(
        machine,
        "lines: {bas: {protocol: bacnet, bind: 10.77.0.1/24}}",
        f"devices: {{ahu: {{line: bas, system: hvac.ahu, {address}, {points}}}}}",
    )
    machine.until(lambda: "devices 1 of 1 online" in machine.about("StatusText"))
    assert value(machine, "ahu", "t") == booted_peers.BACNET_VALUE


def test_serial_ports_are_opened_by_the_installer(machine: Machine) -> None:
    """Closed before, and then for the service alone."""
    peer(machine, "serial", PORT)
    reconfigure(
        machine,
        f"lines: {{rs485: {{protocol: modbus, serial: {PORT}}}}}",
        "devices: {meter: {line: rs485, system: power, address: {unit: 3}, points: {p: {register: 42}}}}",
    )
    machine.until(lambda: "lines 0 of 1 up" in machine.about("StatusText"))
    install(machine, None, "--serial")
    machine.until(lambda: "devices 1 of 1 online" in machine.about("StatusText"))
    assert value(machine, "meter", "p") == 42
