"""A Modbus TCP responder that is faster than any client: the load of the throughput benchmark, in a process of its own.

Every connection is one device with 100 holding registers. Register values are a function of a counter that moves once
in `--interval`; `--changing` of the 100 move with it, the rest stand still. When the process ends it writes what it
served: for each device and counter the time at which that value was first handed out, so that the time from the value
to the subscriber can be told from the time that the poll interval costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import struct
import time
from pathlib import Path
from typing import cast

import uvloop

REGISTERS = 100
LAST_REPLY_S = 0.3
"""What was served must have left before the connections are cut."""


def register_values(counter: int, changing: int) -> list[int]:
    """The registers at one count; each that moves differs from its last value, register 0 is the counter itself."""
    return [(counter + 331 * n) % 65536 if n < changing else 1000 + n for n in range(REGISTERS)]


class Load:
    """What all connections share: the registers of now, and what was served when."""

    def __init__(self, interval_s: float, changing: int) -> None:
        self.served: dict[tuple[int, int], float] = {}
        self.requests = 0
        self.ended = False
        self._interval_s = interval_s
        self._changing = changing
        self._counter = -1
        self._block = b""

    def answer(self, device: int) -> bytes:
        """All registers of one device, now."""
        now = time.time()
        counter = int(now / self._interval_s)
        if counter != self._counter:
            self._counter = counter
            self._block = struct.pack(f">{REGISTERS}H", *register_values(counter, self._changing))
        self.requests += 1
        self.served.setdefault((device, counter), now)
        return self._block


class Device(asyncio.Protocol):
    """One connection; the device is the last number of the address that it was made to."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it
        self._device = int(transport.get_extra_info("sockname")[0].rpartition(".")[2])

    def data_received(self, data: bytes) -> None:
        while len(data) >= 12 and not self._load.ended:
            transaction, _, length, unit, function, start, count = struct.unpack_from(">HHHBBHH", data)
            data = data[6 + length :]
            body = self._load.answer(self._device)[2 * start : 2 * (start + count)]
            head = struct.pack(">HHHBBB", transaction, 0, len(body) + 3, unit, function, len(body))
            self._transport.write(head + body)


async def serve(load: Load, net: str, port: int, hosts: range) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Device(load), f"{net}.{n}", port) for n in hosts]
    print("ready", flush=True)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    load.ended = True
    await asyncio.sleep(LAST_REPLY_S)
    for server in servers:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", required=True)
    parser.add_argument("--port", type=int, default=1502)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--first", type=int, default=1, help="last number of the first address")
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--changing", type=int, default=REGISTERS)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    load = Load(options.interval, options.changing)
    uvloop.run(serve(load, options.net, options.port, range(options.first, options.first + options.devices)))
    served = [[device, counter, at] for (device, counter), at in sorted(load.served.items())]
    options.log.write_text(json.dumps({"requests": load.requests, "served": served}))


if __name__ == "__main__":
    main()
