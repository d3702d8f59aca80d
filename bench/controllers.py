"""A BACnet controller and an OPC UA server on loopback, each with as many changing numbers as one wants."""

from __future__ import annotations

import argparse
import asyncio
import logging
from itertools import count
from typing import Any, cast

from asyncua import ua
from asyncua.server.server import Server
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.analog import AnalogInputObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import IPv4Address

CHANGE_S = 2.0
INSTANCE = 1001


def bacnet(host: str, port: int, inputs: int) -> list[Any]:
    """The objects analog-input 1 and on of a device that listens."""
    device = DeviceObject(objectIdentifier=("device", INSTANCE), objectName="bench", vendorIdentifier=999)
    application = NormalApplication(device, IPv4Address(f"{host}/32:{port}"))
    made = [
        AnalogInputObject(objectIdentifier=("analog-input", number), objectName=f"ai{number}", presentValue=0.0)
        for number in range(1, inputs + 1)
    ]
    for each in made:
        application.add_object(each)
    return made


async def opcua(host: str, port: int, nodes: int) -> tuple[Server, list[ua.NodeId]]:
    """The nodes `ns=2;s=n1` and on of a server that is still to be started."""
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://{host}:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    made = [ua.NodeId(cast("Any", f"n{number}"), cast("Any", 2)) for number in range(1, nodes + 1)]
    for node in made:
        await server.nodes.objects.add_variable(node, str(node.Identifier), 0.0)
    return server, made


async def serve(options: argparse.Namespace) -> None:
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    inputs = bacnet(options.bacnet, options.bacnet_port, options.points)
    server, nodes = await opcua(options.opcua, options.opcua_port, options.points)
    async with server:
        print("listening", flush=True)
        for value in count():
            for each in inputs:
                each.presentValue = float(value)
            for node in nodes:
                await server.write_attribute_value(node, ua.DataValue(ua.Variant(float(value))))
            await asyncio.sleep(CHANGE_S)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bacnet", required=True, help="address")
    parser.add_argument("--bacnet-port", type=int, default=47808)
    parser.add_argument("--opcua", required=True, help="address")
    parser.add_argument("--opcua-port", type=int, default=4840)
    parser.add_argument("--points", type=int, default=300, help="of each")
    asyncio.run(serve(parser.parse_args()))
