"""Run on a booted machine by the release's own interpreter: a BACnet device to be searched for, a serial adapter."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

BACNET_DEVICE = 4711
BACNET_VALUE = 21.5


async def bacnet(address: str) -> None:
    """At the standard port; it answers what is broadcast to it."""
    from bacpypes3.ipv4.app import NormalApplication  # noqa: PLC0415  # the other peer does without
    from bacpypes3.local.analog import AnalogInputObject  # noqa: PLC0415  # as above
    from bacpypes3.local.device import DeviceObject  # noqa: PLC0415  # as above
    from bacpypes3.pdu import IPv4Address  # noqa: PLC0415  # as above

    device = DeviceObject(objectIdentifier=("device", BACNET_DEVICE), objectName="ahu", vendorIdentifier=999)
    application = NormalApplication(device, IPv4Address(address))
    application.add_object(
        AnalogInputObject(objectIdentifier=("analog-input", 1), objectName="t", presentValue=BACNET_VALUE)
    )
    await asyncio.Event().wait()


async def serial(port: str) -> None:
    """Under that name, with the owner that Debian gives to serial ports; every register holds its own address."""
    from rtu_peer import Adapter, honest  # noqa: PLC0415  # the other peer does without

    name = Path(port)
    name.parent.mkdir(parents=True, exist_ok=True)  # before anybody asks
    adapter = Adapter(name, honest)
    adapter.plug()
    shutil.chown(port, "root", "dialout")
    os.fchmod(adapter.slave, 0o660)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run({"bacnet": bacnet, "serial": serial}[sys.argv[1]](sys.argv[2]))
