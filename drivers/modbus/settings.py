"""What may be written about a Modbus device in the configuration: its address and its points. Lines are in `line`.

Addresses are wire addresses: 0-based, without the leading 4 or 3 of old manuals (40001 is holding register 0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from config.fields import Spec
from config.files import AddressSpec, Duration, PointSpec, Protocol
from drivers.contract import Reason
from drivers.expectation import Expectation
from drivers.modbus.line import ModbusLine

Table = Literal["holding", "input", "coil", "discrete"]
Coding = Literal[
    "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64", "bcd16", "bcd32", "bcd64", "bit", "string",
    "time_unix", "time_6", "time_3", "time_cp56",
]  # fmt: skip
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
REGISTERS = 65536
_POWER = re.compile(r"(\d+)\^(-?\d{1,3})")
_FRACTION = re.compile(r"(\d+)/(\d+)")
_FACTOR_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\d+(\^-?\d{1,3}|/\d+)$"}]}
WORD_BITS = 16
Register = Annotated[int, Field(ge=0, lt=REGISTERS)]

BIT_TABLES: frozenset[Table] = frozenset(("coil", "discrete"))
WORDS: Mapping[Coding, int] = {
    "i16": 1, "u16": 1, "bit": 1, "i32": 2, "u32": 2, "f32": 2, "i64": 4, "u64": 4, "f64": 4,
    "bcd16": 1, "bcd32": 2, "bcd64": 4, "time_unix": 2, "time_6": 6, "time_3": 3, "time_cp56": 4,
}  # fmt: skip
"""Registers that a value takes; a string says so itself."""

TIMES: frozenset[Coding] = frozenset(("time_unix", "time_6", "time_3", "time_cp56"))
FIT_VALUES: Mapping[str, tuple[str, ...]] = {
    "bit": ("bool", "enum"), "string": ("string",), **dict.fromkeys(TIMES, ("string",)),
}  # fmt: skip
"""What a coding can be read as, where it is not any kind of number."""

MEASURED = ("number", "integer")
NUMBER_VALUES = ("number", "integer", "bool", "enum")
GOOD_REASONS: frozenset[Reason] = frozenset(("ok", "local_override"))


def _factor(written: object) -> object:
    """A scale as makers write it: `2^-5`, `1/60`."""
    if not isinstance(written, str):
        return written
    power, fraction = _POWER.fullmatch(written), _FRACTION.fullmatch(written)
    if power:
        return float(power[1]) ** int(power[2])
    if fraction and float(fraction[2]):
        return float(fraction[1]) / float(fraction[2])
    raise ValueError(f"{written} is no factor; write a number, 2^-5 or 1/60")


class FactorSpec(Spec):
    """A register of the device that says by what a value is multiplied.

    `power_of_ten` is the exponent of SunSpec (i16, 0x8000 is none), `times` and `divided` a number (u16) such as a
    transformer's ratio.
    """

    start: Annotated[Register, Field(alias="register")]
    kind: Literal["power_of_ten", "times", "divided"] = "power_of_ten"

    @property
    def type(self) -> Literal["i16", "u16"]:
        return "i16" if self.kind == "power_of_ten" else "u16"


class ModbusPoint(PointSpec):
    """Where a value is found and how it is coded.

    `order` are the bytes of the value as they come, most significant A: ABCD is what the standard says, CDAB swaps the
    registers, BADC the bytes in each register, DCBA both. `bits` from `bit` upwards are a field of their own, such as a
    nibble with the state of one alarm: true where any is set, or an enumeration. `sentinels` are numbers, as they are
    sent and before scale, that are not measurements; an integer may be written signed or unsigned (-1 or 0xFFFF).
    `factor` is a scale that the device itself says, in the same table. `rollover` is where a counter begins again at
    zero, in the unit of the point: the value goes on; `offset` is the last reading of the meter that was there before.
    """

    table: Table = "holding"
    start: Annotated[Register, Field(alias="register")]
    type: Coding = "u16"
    order: Order = "ABCD"
    bit: Annotated[int | None, Field(ge=0, le=15)] = None
    bits: Annotated[int, Field(ge=1, le=16)] = 1
    length: Annotated[int | None, Field(ge=1, le=125)] = None
    sentinels: dict[int, Reason] = Field(default_factory=dict)
    scale: Annotated[float, BeforeValidator(_factor), WithJsonSchema(_FACTOR_SCHEMA)] = 1.0
    factor: FactorSpec | None = None
    rollover: Annotated[float | None, Field(gt=0)] = None

    @property
    def where(self) -> str:
        bit = "" if self.bit is None else f".{self.bit}"
        return f"{self.table} {self.start}{bit} {self.type}"

    @property
    def in_other_orders(self) -> Mapping[str, ModbusPoint]:
        """Of a number of several registers; a rollover is left out, since only the right order may count."""
        if self.width == 1 or self.type == "string" or self.type in TIMES:
            return {}
        others = (order for order in get_args(Order) if order != self.order)
        return {f"order: {order}": self.model_copy(update={"order": order, "rollover": None}) for order in others}

    @property
    def width(self) -> int:
        """Registers that the value takes; 1 for a coil or discrete input."""
        return self.length or 1 if self.type == "string" else WORDS[self.type]

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, written: object) -> object:
        """A coil is a bit, a bit is a truth value and a string is a text, without saying so."""
        if not isinstance(written, Mapping):
            return written
        filled = dict(written)
        if filled.get("table") in BIT_TABLES:
            filled.setdefault("type", "bit")
        if filled.get("type") in FIT_VALUES:
            filled.setdefault("value", FIT_VALUES[filled["type"]][0])
        return filled

    @model_validator(mode="after")
    def _place_fits(self) -> Self:
        if self.table in BIT_TABLES and self.type != "bit":
            raise ValueError(f"type: a {self.table} holds one bit, not {self.type}; leave type out")
        if self.table in BIT_TABLES and self.bit is not None:
            raise ValueError(f"bit: a {self.table} is one bit itself; leave bit out")
        if self.table not in BIT_TABLES and (self.type == "bit") != (self.bit is not None):
            raise ValueError("bit: type bit in a register needs bit: 0 to 15, and only type bit has one")
        if self.bits > 1 and (self.bit is None or self.bit + self.bits > WORD_BITS):
            raise ValueError("bits: only type bit in a register has them, and bit + bits is at most 16")
        if (self.type == "string") != (self.length is not None):
            raise ValueError("length: type string needs its length in registers, and only type string has one")
        if self.start + self.width > REGISTERS:
            raise ValueError(f"register: {self.type} at {self.start} would end after register 65535")
        return self

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        fit = FIT_VALUES.get(self.type, NUMBER_VALUES)
        if self.value not in fit:
            raise ValueError(f"value: {self.type} can be read as {' or '.join(fit)}, not as {self.value}")
        if self.value not in ("number", "integer") and (self.scale != 1.0 or self.offset != 0.0):
            raise ValueError(f"scale: {self.value} is not a measurement; leave scale and offset out")
        if self.scale == 0.0:
            raise ValueError("scale: a scale of 0 makes every value the offset")
        for key in ("factor", "rollover"):
            if getattr(self, key) is not None and self.value not in MEASURED:
                raise ValueError(f"{key}: {self.value} is not a measurement; leave {key} out")
        return self

    @model_validator(mode="after")
    def _factor_fits(self) -> Self:
        if self.factor is not None and (self.table in BIT_TABLES or self.offset != 0.0):
            raise ValueError("factor: only a number in registers has one, and no offset beside it")
        return self

    @model_validator(mode="after")
    def _sentinels_fit(self) -> Self:
        if self.sentinels and (self.type == "string" or self.type in TIMES or self.table in BIT_TABLES):
            raise ValueError("sentinels: only numbers in registers can have them")
        for raw, reason in self.sentinels.items():
            if reason in GOOD_REASONS:
                raise ValueError(f"sentinels: {raw} cannot mean {reason}: a sentinel says why there is no value")
            if reason == "range_suspect":
                raise ValueError(f"sentinels: {raw} means on one side of the range: write over_range or under_range")
            if self.type not in ("f32", "f64") and not fits(raw, self.width):
                raise ValueError(f"sentinels: {raw} does not fit into {self.width * WORD_BITS} bits")
        return self


class CheckSpec(ModbusPoint, Expectation):
    """A register by which a device is recognized."""


class IdentitySpec(Spec):
    """What the device says of itself by function 43, if it knows that: patterns such as `Schneider*`."""

    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None


class ModbusAddress(AddressSpec):
    """The unit on its line, and how it likes to be asked.

    One request asks for at most `max_registers` (16 coils count as one) and reads over at most `max_gap` registers
    that nobody wants; it never touches a `forbidden` range (first and last register, in every table). Between an answer
    and the next request to this unit lies at least `gap`, and there are never more than `requests_per_s`. The line's
    `timeout` must not be shorter than `timeout_min`, which the device may need for an answer. `expect` and
    `identification` say how the device is told from others; until it has shown that, its points are `config_error`.
    """

    unit: Annotated[int, Field(ge=0, le=255)] = 1
    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    max_gap: Annotated[int, Field(ge=0, le=124)] = 8
    forbidden: tuple[tuple[Register, Register], ...] = ()
    gap: Annotated[Duration, Field(le=10)] = 0.0
    requests_per_s: Annotated[float | None, Field(gt=0, le=1000)] = None
    timeout_min: Annotated[Duration, Field(le=60)] = 0.0
    expect: tuple[CheckSpec, ...] = ()
    identification: IdentitySpec | None = None

    @field_validator("forbidden")
    @classmethod
    def _ranges_run_upwards(cls, ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for first, last in ranges:
            if first > last:
                raise ValueError(f"[{first}, {last}] runs backwards; write [{last}, {first}]")
        return ranges


def fits(raw: int, words: int) -> bool:
    """Whether an integer, signed or unsigned, can stand in so many registers."""
    return -(1 << (16 * words - 1)) <= raw < 1 << (16 * words)


PROTOCOL = Protocol(ModbusLine, ModbusAddress, ModbusPoint)
