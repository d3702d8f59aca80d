"""Conditions as they are written in an alarm: bits, rates, counters. What they mean is in `config.conditions`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from config.fields import Duration, Spec

WORD_BITS = 64
EXPRESSION_LENGTH_MAX = 2_000

Expression = Annotated[str, Field(min_length=1, max_length=EXPRESSION_LENGTH_MAX)]
"""CEL over points: `supply_lost && !point("gen-1/running")`."""

_BITS_SCHEMA = {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]}
_BIT_HINT = "write its number, such as 3, a list of them, or {clear: 3}"


class BitsSpec(Spec):
    """Bits by number, 0 is the lowest; `clear`: the alarm is that one of them is not set."""

    numbers: tuple[int, ...]
    clear: bool = False


def _bits(value: object) -> BitsSpec:
    clear = isinstance(value, dict) and list(value) == ["clear"]
    found = value["clear"] if isinstance(value, dict) and clear else value
    written = found if isinstance(found, list) else [found]
    numbers = [one for one in written if isinstance(one, int) and not isinstance(one, bool)]
    if not numbers or len(numbers) < len(written):
        raise ValueError(f"not a bit; {_BIT_HINT}")
    if not all(0 <= one < WORD_BITS for one in numbers):
        raise ValueError(f"no bit of a word; bits are numbered from 0 to {WORD_BITS - 1}")
    return BitsSpec(numbers=tuple(numbers), clear=clear)


Bits = Annotated[
    BitsSpec,
    PlainValidator(_bits),
    WithJsonSchema({"anyOf": [*_BITS_SCHEMA["anyOf"], {"type": "object", "properties": {"clear": _BITS_SCHEMA}}]}),
]
"""`3`, `[3, 5]` or `{clear: 3}`."""


class RateSpec(Spec):
    """A change `per` so much time, measured over the last `over`."""

    per: Annotated[Duration, Field(gt=0)]
    over: Annotated[Duration, Field(ge=1, le=86_400)] | None = None

    @property
    def window_s(self) -> float:
        return max(self.per, 1.0) if self.over is None else self.over


def _rate(value: object) -> object:
    return value if isinstance(value, (dict, RateSpec)) else {"per": value}


Rate = Annotated[RateSpec, BeforeValidator(_rate)]
"""`1min`, or `{per: 1min, over: 5min}`."""


class CounterSpec(Spec):
    """What is wrong with a counter: it stands `still` for so long, it runs `backwards`."""

    still: Annotated[Duration, Field(gt=0)] | None = None
    backwards: bool = False
    rollover: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _something(self) -> CounterSpec:
        if self.still is None and not self.backwards:
            raise ValueError("nothing that is wrong; write still: 30min, or backwards: true")
        if self.rollover is not None and not self.backwards:
            raise ValueError("rollover: means nothing here; write it together with backwards: true")
        return self
