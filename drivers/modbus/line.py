"""What may be written about a Modbus line: a TCP endpoint, with or without TLS, or a serial port."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from config.fields import OwnAddress
from config.files import LineSpec, TlsSpec

TCP_PORT, TLS_PORT = 502, 802
CHARACTER_BITS = 11
"""Start, eight data, parity or a second stop bit, stop: what the standard counts as a character."""

PAUSE_CHARACTERS = 3.5
PAUSE_S_MIN = 0.00175
"""Above 19,200 baud the standard's pause between two frames is fixed."""

TURNAROUND_S = 0.02
"""What a device takes to begin its answer; 5 to 50 ms are usual."""

_FRAME_BYTES = 3
"""Unit and check sum, of the request and of the reply."""

_REPLY_HEAD_BYTES = 2
"""Function and byte count."""

PAUSE_TCP_S = 0.002
"""RTU over TCP: the gateway keeps the pause on its line; this only keeps two of our frames in two packets."""

_NUMBERED = re.compile(r"/dev/tty(USB|ACM)\d+")
_SERIAL_ONLY = ("baud", "parity", "stop_bits")
_NETWORK_ONLY = ("port", "bind", "tls", "framing")


class ModbusLine(LineSpec):
    """One connection: a device or a gateway on the network (`host`), or a serial port (`serial`).

    `framing: rtu` is for converters that only pass the bytes of a serial line through. With `tls` the gateway and the
    device prove themselves to each other (Modbus/TCP Security). `bind` is the address of this machine that connections
    leave from. `concurrency` is how many units of a gateway may be
    asked at once; leave it at 1 unless its maker allows more.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["host"]}, {"required": ["serial"]}]})

    protocol: Literal["modbus"]
    host: Annotated[str, Field(min_length=1)] | None = None
    port: Annotated[int, Field(ge=1, le=65535, description="502, with TLS 802")] | None = None
    bind: OwnAddress | None = None
    framing: Literal["tcp", "rtu"] = "tcp"
    tls: TlsSpec | None = None
    serial: Annotated[str, Field(pattern=r"^/dev/\S+$|^/\S+$", description="/dev/serial/by-id/…")] | None = None
    baud: Annotated[int, Field(ge=300, le=1_000_000)] = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1

    @property
    def endpoint(self) -> str:
        if self.serial is not None:
            return self.serial
        host = self.host or ""
        return f"[{host}]:{self.port_number}" if ":" in host else f"{host}:{self.port_number}"

    @property
    def sole(self) -> tuple[str, str] | None:
        return None if self.serial is None else ("serial", self.serial)

    @property
    def port_number(self) -> int:
        return self.port or (TLS_PORT if self.tls else TCP_PORT)

    @property
    def has_rtu_frames(self) -> bool:
        return self.serial is not None or self.framing == "rtu"

    @property
    def pause_s(self) -> float:
        """The silence that separates two RTU frames."""
        if self.serial is None:
            return PAUSE_TCP_S
        return max(PAUSE_CHARACTERS * CHARACTER_BITS / self.baud, PAUSE_S_MIN)

    def bus_s(self, request_bytes: int, payload_bytes: int) -> float | None:
        """How long one request takes a serial line; None on a network, where the device alone decides."""
        if self.serial is None:
            return None
        characters = request_bytes + _REPLY_HEAD_BYTES + payload_bytes + 2 * _FRAME_BYTES
        return characters * CHARACTER_BITS / self.baud + 2 * self.pause_s + TURNAROUND_S

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.host is None) == (self.serial is None):
            found = "neither host nor serial" if self.host is None else "host and serial"
            raise ValueError(f"{found}; write exactly one, such as host: 192.168.1.50")
        foreign = _NETWORK_ONLY if self.host is None else _SERIAL_ONLY
        for key in foreign:
            if key in self.model_fields_set:
                kind = "a serial port has none" if self.host is None else "only a serial port has one"
                raise ValueError(f"{key}: {kind}; leave {key} out")
        return self

    @model_validator(mode="after")
    def _host_can_be_looked_up(self) -> Self:
        try:
            (self.host or "localhost").encode("idna")
        except UnicodeError as error:
            raise ValueError(
                f"host: {self.host} is no host name; write an IP address or a name such as plc.example"
            ) from error
        return self

    @model_validator(mode="after")
    def _port_keeps_its_name(self) -> Self:
        if self.serial is not None and _NUMBERED.fullmatch(self.serial):
            raise ValueError(
                f"serial: {self.serial} is another port after the next restart; "
                "write its name below /dev/serial/by-id or /dev/serial/by-path"
            )
        return self

    @model_validator(mode="after")
    def _rtu_asks_one_at_a_time(self) -> Self:
        if self.has_rtu_frames and self.concurrency > 1:
            raise ValueError("concurrency: RTU frames allow one request at a time; leave it out")
        return self

    @model_validator(mode="after")
    def _tls_has_its_own_frames(self) -> Self:
        if self.tls is not None and self.framing == "rtu":
            raise ValueError("tls: RTU over TCP has no TLS; remove framing or tls")
        return self
