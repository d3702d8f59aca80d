"""The unit on a kernel of its own, which enforces what a container only pretends to: devices, addresses, memory.

A virtual machine with an emulated serial port and an emulated USB adapter, devices behind them and on a network of its
own, and a broker that has a private and a public address.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import booted_peers
import pytest
from booted_machine import DEBIAN, ROOT, bundle
from rtu_peer import Wire, honest

pytestmark = pytest.mark.timeout(900)

KERNEL = ROOT / "build" / "kernel"
MODULES = ("veth", "dummy", "usbcore", "usb-common", "xhci-hcd", "xhci-pci", "usbserial", "ftdi_sio", "cdc-acm")
END_S_MAX = 600
QEMU = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "3072", "-smp", "2", "-no-reboot"]
QEMU += ["-display", "none", "-monitor", "none", "-nic", "none"]
BOOT = "console=ttyS0 rdinit=/sbin/init panic=-1 quiet systemd.show_status=no"
BOOT += " systemd.mask=serial-getty@ttyS0.service"
ADAPTER = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_A1-if00-port0"

SCRIPT = """
exec >/dev/ttyS0 2>&1
adapter=$1
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
wait_for() { n=0; until eval "$1" || [ $n = 100 ]; do n=$((n + 1)); sleep 1; done; }
wait_for 'status | grep -q "devices 3 of 3 online.*house connected"'
wait_for 'journalctl -u wardgate | grep -q 203.0.113.7'
echo "ADAPTER $(readlink -f $adapter)"
wait_for '[ ! -e $adapter ]'
wait_for 'status | grep -q "devices 2 of 3 online"'
echo "WITHOUT $(status)"
wait_for 'status | grep -q "devices 3 of 3 online"'
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
LINES = f"""
lines:
  rs485: {{protocol: modbus, serial: /dev/ttyS1}}
  usb: {{protocol: modbus, serial: {ADAPTER}}}
  bas: {{protocol: bacnet, bind: 10.77.0.1/24}}
"""
DEVICES = f"""
devices:
  meter: {{line: rs485, system: power, address: {{unit: 3}}, points: {{p: {{register: 42}}}}}}
  pump: {{line: usb, system: water, address: {{unit: 3}}, points: {{p: {{register: 42}}}}}}
  ahu:
    line: bas
    system: hvac.ahu
    address: {{instance: {booted_peers.BACNET_DEVICE}}}
    points: {{t: {{object: "analog-input,1", unit: Cel}}}}
"""
UNIT = f"""
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/test/script {ADAPTER}
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
    bring_modules(root)
    for name in ("booted_peers.py", "rtu_peer.py", "modbus_peer.py"):
        shutil.copy(Path(booted_peers.__file__).with_name(name), test)
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


def bring_modules(root: Path) -> None:
    """Where the machine finds what a device asks for when it is plugged in."""
    (modules,) = (KERNEL / "lib" / "modules").iterdir()
    there = root / "lib" / "modules" / modules.name
    there.mkdir(parents=True)
    for name in MODULES:
        (module,) = modules.rglob(f"{name}.ko")
        shutil.copy(module, there)
    for listed in modules.glob("modules.*"):
        shutil.copy(listed, there)
    subprocess.run(["chroot", root, "depmod", modules.name], check=True, capture_output=True)


@pytest.fixture
def ports(tmp_path: Path) -> tuple[Path, Path]:
    """The far ends of the second serial port and of the adapter, which is pulled once, when the console says so."""
    uart, adapter, console = tmp_path / "ttyS1", tmp_path / "adapter", tmp_path / "console"
    for play in (answer(uart), replug(adapter, console)):
        threading.Thread(target=asyncio.run, args=(play,), daemon=True).start()
    return uart, adapter


async def answer(path: Path) -> None:
    """Devices whose registers hold their own address."""
    reader, writer = await connected(path)
    wire = Wire(honest, writer.write)
    with closing(writer):
        while data := await reader.read(1024):
            wire.hear(data)


async def replug(path: Path, console: Path) -> None:
    """The emulated adapter is in its socket while somebody is connected to it."""
    first = asyncio.create_task(answer(path))
    await asyncio.to_thread(wait_for, "ADAPTER ", console)
    first.cancel()
    await asyncio.wait([first])
    await asyncio.to_thread(wait_for, "WITHOUT ", console)
    await answer(path)


def wait_for(word: str, console: Path) -> None:
    while not console.exists() or word not in console.read_text(errors="replace"):
        time.sleep(0.2)


async def connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The name is there a moment before somebody listens."""
    while True:
        try:
            return await asyncio.open_unix_connection(path)
        except OSError:
            await asyncio.sleep(0.1)


def test_a_real_kernel_lets_through_what_the_gateway_needs_and_nothing_else(
    image: Path, ports: tuple[Path, Path], tmp_path: Path
) -> None:
    """Serial ports, also plugged in anew, broadcasts, a private broker; no public address, no memory without end."""
    console = tmp_path / "console"
    (kernel,) = (KERNEL / "boot").glob("vmlinuz-*")
    serial = ["-serial", f"file:{console}", "-serial", "chardev:uart", "-device", "qemu-xhci"]
    for name, port in zip(("uart", "adapter"), ports, strict=True):
        serial += ["-chardev", f"socket,id={name},path={port},server=on,wait=off"]
    serial += ["-device", "usb-serial,chardev=adapter,serial=A1"]
    command = [*QEMU, "-kernel", str(kernel), "-initrd", str(image), "-append", BOOT, *serial]
    subprocess.run(command, timeout=END_S_MAX, check=True)
    told = console.read_text(errors="replace")
    assert "lines 3 of 3 up; devices 3 of 3 online" in line_of(told, "STATUS"), told
    assert line_of(told, "ADAPTER") == "/dev/ttyUSB0"
    assert "lines 2 of 3 up; devices 2 of 3 online" in line_of(told, "WITHOUT")
    assert "house connected" in line_of(told, "STATUS")
    assert "elsewhere connected" not in line_of(told, "STATUS")
    assert "203.0.113.7:1883 does not answer" in told
    assert line_of(told, "MEMORY") == "536870912"


def line_of(console: str, word: str) -> str:
    (found,) = re.findall(rf"^{word} (.*?)\s*$", console, re.MULTILINE)
    return str(found)
