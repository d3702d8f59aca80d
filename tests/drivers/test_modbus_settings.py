"""What may be written about a Modbus line, device and point, and what is said where it may not."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from drivers.modbus.line import ModbusLine
from drivers.modbus.settings import PROTOCOL, ModbusAddress, ModbusPoint


def test_a_register_needs_nothing_but_its_number() -> None:
    """The shortest point is an unsigned holding register."""
    spec = ModbusPoint.model_validate({"register": 7})
    assert (spec.table, spec.start, spec.type, spec.order, spec.value) == ("holding", 7, "u16", "ABCD", "number")


@pytest.mark.parametrize(
    ("written", "coding", "value"),
    [
        ({"table": "coil"}, "bit", "bool"),
        ({"table": "discrete", "value": "enum", "states": {0: "off", 1: "on"}}, "bit", "enum"),
        ({"type": "bit", "bit": 3}, "bit", "bool"),
        ({"type": "string", "length": 8}, "string", "string"),
    ],
)
def test_what_goes_without_saying_is_filled_in(written: dict[str, object], coding: str, value: str) -> None:
    """A coil is a bit, a bit a truth value, a string a text."""
    spec = ModbusPoint.model_validate({"register": 0, **written})
    assert (spec.type, spec.value) == (coding, value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"register": 65536}, "less than 65536"),
        ({"register": -1}, "greater than or equal to 0"),
        ({"register": 65535, "type": "f32"}, "would end after register 65535"),
        ({"register": 65533, "type": "string", "length": 4}, "would end after register 65535"),
        ({"register": 1, "type": "string"}, "needs its length"),
        ({"register": 1, "length": 2}, "only type string has one"),
        ({"register": 1, "type": "bit"}, "needs bit: 0 to 15"),
        ({"register": 1, "bit": 3}, "only type bit has one"),
        ({"register": 1, "type": "bit", "bit": 16}, "less than or equal to 15"),
        ({"register": 1, "type": "bit", "bit": 13, "bits": 4}, "bit + bits is at most 16"),
        ({"register": 1, "bits": 4}, "only type bit in a register has them"),
        ({"register": 1, "table": "coil", "bits": 2}, "only type bit in a register has them"),
        ({"register": 1, "table": "coil", "bit": 3}, "one bit itself; leave bit out"),
        ({"register": 1, "table": "coil", "type": "u16"}, "holds one bit, not u16"),
        ({"register": 1, "type": "bit", "bit": 1, "value": "number"}, "bool or enum, not as number"),
        ({"register": 1, "value": "string"}, "number or integer or bool or enum, not as string"),
        ({"register": 1, "value": "enum", "scale": 0.1}, "leave scale and offset out"),
        ({"register": 1, "type": "bit", "bit": 1, "offset": 1}, "leave scale and offset out"),
        ({"register": 1, "sentinels": {65536: "not_available"}}, "does not fit into 16 bits"),
        ({"register": 1, "sentinels": {-32769: "not_available"}}, "does not fit into 16 bits"),
        ({"register": 1, "sentinels": {1: "ok"}}, "cannot mean ok"),
        ({"register": 1, "sentinels": {1: "range_suspect"}}, "write over_range or under_range"),
        ({"register": 1, "sentinels": {1: "broken"}}, "Input should be"),
        ({"register": 1, "table": "coil", "sentinels": {1: "busy"}}, "only numbers in registers"),
        ({"register": 1, "scale": 0}, "a scale of 0 makes every value the offset"),
        ({"register": 1, "regster": 1}, "Extra inputs"),
        ({"table": "input"}, "register\n  Field required"),
        ("40001", "should be a valid dictionary"),
    ],
)
def test_a_point_that_makes_no_sense_is_refused_in_words(written: object, message: str) -> None:
    """Every mistake says what is wrong and, where it can, what to write instead."""
    with pytest.raises(ValidationError) as refused:
        ModbusPoint.model_validate(written)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"unit": 256}, "less than or equal to 255"),
        ({"max_registers": 126}, "less than or equal to 125"),
        ({"max_gap": 125}, "less than or equal to 124"),
        ({"forbidden": [[9, 3]]}, "write [3, 9]"),
        ({"forbidden": [[9]]}, "Field required"),
    ],
)
def test_an_impossible_address_is_refused_in_words(written: dict[str, object], message: str) -> None:
    """The limits of the protocol hold for the limits of a device."""
    with pytest.raises(ValidationError) as refused:
        ModbusAddress.model_validate(written)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"host": ""},
        {"host": "a..b"},
        {"host": "a" * 64},
        {"host": "plc", "port": 0},
        {"host": "plc", "port": 65536},
    ],
)
def test_a_line_needs_a_host_and_a_real_port(written: dict[str, object]) -> None:
    """There is nothing to connect to otherwise."""
    with pytest.raises(ValidationError):
        ModbusLine.model_validate({"protocol": "modbus", **written})


def test_the_registry_finds_the_settings_types() -> None:
    """The three types that `config.load` reads with."""
    assert (PROTOCOL.line, PROTOCOL.address, PROTOCOL.point) == (ModbusLine, ModbusAddress, ModbusPoint)


@pytest.mark.parametrize(("host", "endpoint"), [("plc", "plc:502"), ("fe80::1", "[fe80::1]:502")])
def test_an_endpoint_is_written_as_everybody_writes_it(host: str, endpoint: str) -> None:
    """The port of an IPv6 address would be lost in its colons."""
    assert ModbusLine(protocol="modbus", host=host).endpoint == endpoint


SERIAL = {"protocol": "modbus", "serial": "/dev/serial/by-id/usb-1"}
HOST = {"protocol": "modbus", "host": "10.0.0.1"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"protocol": "modbus"}, "neither host nor serial; write exactly one"),
        ({**SERIAL, "host": "10.0.0.1"}, "host and serial; write exactly one"),
        ({**SERIAL, "port": 502}, "port: a serial port has none; leave port out"),
        ({**HOST, "baud": 9600}, "baud: only a serial port has one; leave baud out"),
        ({**HOST, "parity": "none"}, "parity: only a serial port has one"),
        ({**SERIAL, "serial": "/dev/ttyUSB0"}, "another port after the next restart; write its name below /dev/serial"),
        ({**SERIAL, "serial": "COM3"}, "String should match"),
        ({**SERIAL, "parity": "mark"}, "Input should be 'none', 'even' or 'odd'"),
        ({**SERIAL, "stop_bits": 3}, "Input should be 1 or 2"),
        ({**SERIAL, "concurrency": 2}, "one request at a time; leave it out"),
        ({**HOST, "framing": "rtu", "concurrency": 2}, "one request at a time; leave it out"),
        ({**HOST, "framing": "rtu", "tls": {}}, "RTU over TCP has no TLS"),
    ],
)
def test_a_line_that_cannot_work_is_refused_with_the_next_step(written: dict[str, object], message: str) -> None:
    """One sentence that names the key."""
    with pytest.raises(ValidationError, match=message):
        ModbusLine.model_validate(written)


def test_1_inter_frame_silence_is_the_standard_s() -> None:
    """Three and a half characters of eleven bits, 1.75 ms above 19,200 baud."""
    bauds = (1200, 9600, 19200, 115200)
    pause_s = {baud: ModbusLine.model_validate({**SERIAL, "baud": baud}).pause_s for baud in bauds}
    assert pause_s == pytest.approx({1200: 0.032083, 9600: 0.0040104, 19200: 0.0020052, 115200: 0.00175}, rel=1e-3)


def test_a_line_with_tls_has_the_port_of_modbus_security() -> None:
    """802 unless another one is written."""
    assert ModbusLine.model_validate({**HOST, "tls": {}}).endpoint == "10.0.0.1:802"
    assert ModbusLine.model_validate({**HOST, "tls": {}, "port": 8802}).endpoint == "10.0.0.1:8802"
