"""The unit on a kernel of its own, which enforces what a container only pretends to: devices, addresses, memory.

A virtual machine with an emulated serial port, devices behind it and on a network of its own, and a broker that has a
private and a public address.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from pathlib import Path

import booted_peers
import pytest
from booted_machine import DEBIAN, ROOT, bundle
from rtu_peer import Wire, honest

pytestmark = pytest.mark.timeout(900)

KERNEL = ROOT / "build" / "power"
MODULES = ("veth", "dummy")
END_S_MAX = 600
QEMU = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "3072", "-smp", "2", "-no-reboot"]
QEMU += ["-display", "none", "-monitor", "none", "-nic", "none"]
BOOT = "console=ttyS0 rdinit=/sbin/init panic=-1 quiet systemd.show_status=no"
LOAD = """
import ctypes, os
for name in ("veth", "dummy"):
    assert ctypes.CDLL(None).syscall(313, os.open(f"/opt/test/{name}.ko", os.O_RDONLY), b"", 0) == 0, name
"""
"""finit_module(2) of x86-64: this Debian has no tool for it."""

SCRIPT = """
exec >/dev/ttyS0 2>&1
chgrp dialout /dev/ttyS1; chmod 660 /dev/ttyS1
python3 /opt/test/load.py
ip netns add plant
ip link add e0 type veth peer name e0 netns plant
ip addr add 10.77.0.1/24 brd + dev e0; ip link set e0 up
ip -n plant addr add 10.77.0.9/24 brd + dev e0; ip -n plant link set e0 up; ip -n plant link set lo up
ip link add d0 type dummy; ip addr add 203.0.113.7/32 dev d0; ip link set d0 up
printf 'listener 1883 0.0.0.0\\nallow_anonymous true\\n' >/etc/mosquitto/site.conf
systemctl stop mosquitto
systemd-run --quiet --unit=broker /usr/sbin/mosquitto -c /etc/mosquitto/site.conf
systemd-run --quiet --unit=ahu --setenv=PYTHONPATH=/opt/test ip netns exec plant \
    /opt/wardgate/current/bin/python /opt/test/booted_peers.py bacnet 10.77.0.9/24
systemctl start wardgate
status() { systemctl show --property=StatusText --value wardgate; }
n=0; until status | grep -q 'devices 2 of 2 online.*house connected' || [ $n = 100 ]; do n=$((n + 1)); sleep 1; done
n=0; until journalctl -u wardgate | grep -q 203.0.113.7 || [ $n = 100 ]; do n=$((n + 1)); sleep 1; done
echo "STATUS $(status)"
echo "MEMORY $(cat /sys/fs/cgroup/system.slice/wardgate.service/memory.max)"
journalctl --no-pager --output=cat --unit=wardgate
systemctl poweroff --force
"""
GATEWAY = """
site: h01
gateway: gw-1
uplinks:
  elsewhere: {brokers: ["mqtt://203.0.113.7:1883"]}
  house: {brokers: ["mqtt://10.77.0.1:1883"]}
"""
LINES = """
lines:
  rs485: {protocol: modbus, serial: /dev/ttyS1}
  bas: {protocol: bacnet, bind: 10.77.0.1/24}
"""
DEVICES = f"""
devices:
  meter: {{line: rs485, system: power, address: {{unit: 3}}, points: {{p: {{register: 42}}}}}}
  ahu:
    line: bas
    system: hvac.ahu
    address: {{instance: {booted_peers.BACNET_DEVICE}}}
    points: {{t: {{object: "analog-input,1", unit: Cel}}}}
"""
UNIT = """
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/test/script
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Debian with the gateway installed and configured, as an initial file system."""
    if not (KERNEL / "boot").exists() or not (DEBIAN / ".complete").exists() or not shutil.which("qemu-system-x86_64"):
        pytest.skip("no kernel or no Debian: make test-systemd")
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", DEBIAN, root], check=True)
    subprocess.run(["sh", bundle() / "install.sh", "--root", root, "--serial"], check=True, capture_output=True)
    test, etc = root / "opt/test", root / "etc"
    test.mkdir()
    for name in MODULES:
        (module,) = KERNEL.rglob(f"{name}.ko")
        shutil.copy(module, test)
    for name in ("booted_peers.py", "rtu_peer.py", "modbus_peer.py"):
        shutil.copy(Path(booted_peers.__file__).with_name(name), test)
    (test / "load.py").write_text(LOAD)
    (test / "script").write_text(SCRIPT)
    (etc / "wardgate/devices").mkdir()
    for name, text in (("gateway", GATEWAY), ("lines", LINES), ("devices/all", DEVICES)):
        (etc / f"wardgate/{name}.yaml").write_text(text)
    shutil.copystat(etc / "wardgate", etc / "wardgate/devices")
    subprocess.run(["chgrp", "-R", str((etc / "wardgate").stat().st_gid), etc / "wardgate"], check=True)
    wants = etc / "systemd/system/multi-user.target.wants"
    (wants / "wardgate.service").unlink()
    (etc / "systemd/system/test.service").write_text(UNIT)
    (etc / "systemd/system/default.target.wants").mkdir()
    (etc / "systemd/system/default.target.wants/test.service").symlink_to("../test.service")
    packed = tmp_path / "image"
    subprocess.run(f"find . | cpio -o -H newc --quiet >{packed}", shell=True, cwd=root, check=True)
    shutil.rmtree(root)
    return packed


@pytest.fixture
def port(tmp_path: Path) -> Path:
    """The far end of the second serial port: devices whose registers hold their own address."""
    path = tmp_path / "ttyS1"
    threading.Thread(target=lambda: asyncio.run(answer(path)), daemon=True).start()
    return path


async def answer(path: Path) -> None:
    reader, writer = await connected(path)
    wire = Wire(honest, writer.write)
    while data := await reader.read(1024):
        wire.hear(data)
    writer.close()


async def connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The name is there a moment before somebody listens."""
    while True:
        try:
            return await asyncio.open_unix_connection(path)
        except OSError:
            await asyncio.sleep(0.1)


def test_a_real_kernel_lets_through_what_the_gateway_needs_and_nothing_else(
    image: Path, port: Path, tmp_path: Path
) -> None:
    """Serial port, broadcasts and a private broker; a public address is silence, and memory has its limit."""
    console = tmp_path / "console"
    (kernel,) = (KERNEL / "boot").glob("vmlinuz-*")
    serial = ["-serial", f"file:{console}", "-chardev", f"socket,id=s1,path={port},server=on,wait=off"]
    command = [*QEMU, "-kernel", str(kernel), "-initrd", str(image), "-append", BOOT, *serial, "-serial", "chardev:s1"]
    subprocess.run(command, timeout=END_S_MAX, check=True)
    said = console.read_text(errors="replace")
    (status,) = (line for line in said.splitlines() if line.startswith("STATUS "))
    assert "lines 2 of 2 up; devices 2 of 2 online" in status, said
    assert "house connected" in status
    assert "elsewhere connected" not in status
    assert "203.0.113.7:1883 does not answer" in said
    assert "MEMORY 536870912" in said
