"""The page for installing, done as it says: every command of its blocks, in their order, on a terminal."""

from __future__ import annotations

import re
import tarfile
from itertools import groupby
from typing import TYPE_CHECKING

import pytest
from booted_machine import ROOT, SHARED, bundle, changed_bundle
from booted_site import CURRENT
from shown_commands import at_home

if TYPE_CHECKING:
    from pathlib import Path

    from booted_machine import Machine

pytestmark = pytest.mark.timeout(900)

PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
RELEASE = re.compile(r"0\.1\.0-[0-9a-f]{8}")
ANSWERS = (
    "--site h01 --gateway gw-1 --broker mqtt://10.9.9.9 --line modbus=10.9.9.8 --device b=schneider-pm5300 </dev/null"
)
"""To what `init` asks."""

SETTING = f"""
export SYSTEMD_EDITOR=/usr/local/bin/edits SYSTEMD_PAGER=cat
cd /srv/media
ln -sf {SHARED}/*.tar.gz .
"""
SUDO = '#!/bin/sh\nexec "$@"\n'


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def console_blocks() -> list[str]:
    """With every command of the page that is to be run here."""
    return [
        "".join(f"{command.text}\n" for command in block)
        for _, block in groupby(at_home(__file__), lambda command: command.block)
    ]


def pack(folder: Path, to: Path) -> None:
    with tarfile.open(to, "w:gz", compresslevel=1) as packed:
        packed.add(folder, folder.name)


def prepare(machine: Machine) -> None:
    """What the page takes for granted: two bundles, an operator, a port, an editor in which somebody types."""
    shared = machine.shared
    pack(bundle(), shared / "wardgate-0.1.0.tar.gz")
    pack(changed_bundle(shared / "wardgate-0.2.0", "0.2.0", {}), shared / "wardgate-0.2.0.tar.gz")
    machine.write("/usr/local/bin/sudo", SUDO)
    machine.write("/usr/local/bin/edits", f"#!/bin/sh\ncp {SHARED}/drop-in $1\n")
    (shared / "drop-in").write_text(next(block for block in blocks("ini") if "[Service]" in block))
    machine.write("/etc/credstore/mqtt-password", "secret")
    machine.write("/etc/nftables.conf", blocks("nft")[0])
    machine.sh("chmod +x /usr/local/bin/*; useradd alice; mkdir -p /srv/media /dev/serial/by-id")


def test_every_command_of_the_page_does_what_it_says(machine: Machine) -> None:
    """From an empty machine over the next release and back, to an empty machine."""
    prepare(machine)
    first = ""
    for number, block in enumerate(console_blocks()):
        commands = (RELEASE.sub(first, block) if first else block).replace("wardgate init", f"wardgate init {ANSWERS}")
        machine.write("/srv/block", SETTING + commands)
        machine.run("script", "--quiet", "--return", "--command", "sh -eux /srv/block", "/dev/null")
        if number == 0:
            first = machine.run("readlink", CURRENT).strip().removeprefix("releases/")
        if "wardgate version" in block:
            assert "0.2.0" in machine.run("wardgate", "version")
            assert machine.about("ActiveState") == "active"
        if "ls /opt/wardgate/releases" in block:
            assert machine.run("readlink", CURRENT).strip() == f"releases/{first}"
            assert machine.about("ActiveState") == "active"
            assert "char-ttyUSB rw" in machine.about("DeviceAllow")
            assert "203.0.113.7/32" in machine.about("IPAddressAllow")
            assert "chain forward" in machine.run("nft", "list", "ruleset")
    assert machine.sh("ls /opt").strip() == ""
