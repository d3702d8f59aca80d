"""What a BACnet value, its status flags and its reliability mean: `domain.md` 5.2 row by row."""

from __future__ import annotations

import pytest
from bacnet_peer import make_point
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bacnet import codec
from drivers.bacnet.encoding import AccessError, Bits, ObjectId, Opaque, Raw, Several
from drivers.bacnet.settings import BacnetPoint
from drivers.bacnet.values import faulty, judge
from drivers.contract import Grade, Quality, Value

FAULT, OVERRIDDEN, OUT_OF_SERVICE = Bits("0100"), Bits("0010"), Bits("0001")


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("number", 21.5, 21.5),
        ("number", 7, 7.0),
        ("number", True, 1.0),
        ("integer", 7, 7),
        ("integer", 7.0, 7),
        ("bool", 1, True),
        ("bool", 0, False),
        ("bool", True, True),
        ("enum", 2, "starting"),
        ("string", "ok", "ok"),
        ("string", ObjectId(1), "analog-input,1"),
        ("string", Bits("01"), "01"),
        ("string", b"\x01\xff", "01ff"),
        ("string", 5, "5"),
    ],
)
def test_values_take_the_type_of_their_point(kind: str, raw: Raw, value: Value) -> None:
    """Active is true, a multistate is its state name, a number is a number."""
    point = make_point("analog-input,1", kind, states={2: "starting"})  # type: ignore[arg-type] # a parameter
    judged, flaw = judge(point, raw, Bits("0000"))
    assert (judged, type(judged), flaw) == (value, type(value), None)


@pytest.mark.parametrize(
    ("kind", "raw", "reason", "said"),
    [
        ("number", "21", "decode_error", "number expected, text sent"),
        ("number", None, "not_available", "null"),
        ("number", float("nan"), "not_available", "nan"),
        ("number", float("-inf"), "not_available", "-inf"),
        ("number", Several((1.0, 2.0)), "decode_error", "number expected, list of 2 sent"),
        ("number", Opaque(b""), "decode_error", "number expected, structure sent"),
        ("number", Bits("1"), "decode_error", "number expected, bit string sent"),
        ("integer", 7.5, "decode_error", "integer expected, 7.5 sent"),
        ("integer", float("inf"), "not_available", "inf"),
        ("bool", 2, "decode_error", "bool expected, 2 sent"),
        ("enum", 9, "decode_error", "state 9 has no name"),
        ("enum", 1.5, "decode_error", "state 1.5 has no name"),
        ("enum", "on", "decode_error", "enum expected, text sent"),
        ("string", Several(()), "decode_error", "string expected, list of 0 sent"),
    ],
)
def test_what_is_not_a_value_of_the_point_is_none(kind: str, raw: Raw, reason: str, said: str) -> None:
    """Bad, with what was sent, and never a zero."""
    judged, flaw = judge(make_point("analog-input,1", kind, states={2: "starting"}), raw)  # type: ignore[arg-type] # see above
    assert judged is None
    assert flaw is not None
    assert (flaw.grade, flaw.reason, flaw.raw) == (Grade.BAD, reason, said)


@pytest.mark.parametrize(
    ("target", "where", "raw", "value"),
    [
        ("lift,1", {"property": "fault-signals"}, Several((2, 5)), "2, 5"),
        ("lift,1", {"property": "fault-signals"}, Several(()), ""),
        (
            "lift,1",
            {"property": "landing-door-status", "index": 1},
            Opaque(bytes.fromhex("0e 09 03 19 01 0f")),
            '{"landing-doors": [{"floor-number": 3, "door-status": "opened"}]}',
        ),
        (
            "analog-input,1",
            {"property": "event-time-stamps"},
            Opaque(bytes.fromhex("19 05 0c 17 3b 3a 63 19 06")),
            '[{"sequence-number": 5}, {"time": "23:59:58.99"}, {"sequence-number": 6}]',
        ),
        (
            "datetime-value,1",
            {},
            Several(("2026-11-21", "23:59:58.99"), bytes.fromhex("a4 7e 0b 15 06 b4 17 3b 3a 63")),
            '{"date": "2026-11-21", "time": "23:59:58.99"}',
        ),
        ("lift,1", {"property": "landing-door-status", "index": 1}, Opaque(bytes.fromhex("0e 09 03 0f")), None),
        ("lift,1", {"property": "5000"}, Opaque(bytes.fromhex("0e 09 03 19 01 0f")), None),
        ("300,1", {}, Opaque(bytes.fromhex("0e 09 03 19 01 0f")), None),
    ],
)
def test_7_structures_and_lists_are_texts_by_the_library_s_decoder(
    target: str, where: dict[str, object], raw: Raw, value: str | None
) -> None:
    """With the names of the standard; what does not fit its type, or has none that is known, is no value."""
    judged, flaw = judge(make_point(target, "string", **where), raw)  # type: ignore[arg-type] # fields by name
    assert judged == value
    assert (flaw is None) == (value is not None)
    assert flaw is None or flaw.reason == "decode_error"


BRACKETS = st.lists(st.sampled_from(b"\x0e\x0f\x1e\x1f\x2e\x2f\x09\x19\x21\x44\x00\x01\x03"), max_size=40).map(bytes)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(["landing-door-status", "event-time-stamps", "registered-car-call", "energy-meter-ref"]), st.data()
)
def test_no_bytes_of_a_structure_do_harm(name: str, data: st.DataObject) -> None:
    """Whatever the library makes of them: a text or a flaw."""
    brackets = st.lists(st.sampled_from(b"\x0e\x0f\x1e\x1f\x2e\x2f\x09\x19\x21\x44\x00\x01\x03"), max_size=40).map(
        bytes
    )
    raw = Opaque(data.draw(st.binary(max_size=60) | brackets))
    judged, flaw = judge(make_point("lift,1", "string", property=name), raw)
    assert (judged is None) == (flaw is not None)


def test_scale_and_offset_come_before_the_range() -> None:
    """The plausible range is in the unit of the point; outside it the value stays, suspect."""
    point = make_point("analog-input,1", scale=0.1, offset=-40.0, low=-30.0, high=60.0)
    assert judge(point, 500.0) == (10.0, None)
    assert judge(point, 50.0) == (-35.0, Quality(Grade.UNCERTAIN, "range_suspect", "-35"))
    assert judge(point, 1010.0) == (61.0, Quality(Grade.UNCERTAIN, "range_suspect", "61"))


def test_a_scaled_integer_stays_one() -> None:
    """A counter with a multiplier."""
    point = make_point("accumulator,1", "integer", scale=10.0)
    assert judge(point, 12345678901) == (123456789010, None)


@pytest.mark.parametrize(
    ("flags", "reliability", "grade", "reason", "said"),
    [
        (OUT_OF_SERVICE, None, Grade.BAD, "out_of_service", "status-flags out-of-service"),
        (Bits("0101"), 1, Grade.BAD, "out_of_service", "status-flags out-of-service"),
        (OVERRIDDEN, None, Grade.GOOD, "local_override", "status-flags overridden"),
        (FAULT, None, Grade.BAD, "device_fault", "status-flags fault"),
        (FAULT, 0, Grade.BAD, "device_fault", "status-flags fault"),
        (FAULT, AccessError(2, 32), Grade.BAD, "device_fault", "status-flags fault"),
        (FAULT, 1, Grade.BAD, "sensor_fault", "reliability no-sensor"),
        (FAULT, 2, Grade.UNCERTAIN, "range_suspect", "reliability over-range"),
        (FAULT, 3, Grade.UNCERTAIN, "range_suspect", "reliability under-range"),
        (FAULT, 4, Grade.BAD, "sensor_fault", "reliability open-loop"),
        (FAULT, 5, Grade.BAD, "sensor_fault", "reliability shorted-loop"),
        (FAULT, 6, Grade.BAD, "not_connected", "reliability no-output"),
        (FAULT, 7, Grade.BAD, "device_fault", "reliability unreliable-other"),
        (FAULT, 8, Grade.BAD, "device_fault", "reliability process-error"),
        (FAULT, 9, Grade.BAD, "device_fault", "reliability multi-state-fault"),
        (FAULT, 10, Grade.BAD, "config_error", "reliability configuration-error"),
        (FAULT, 12, Grade.BAD, "comm_lost", "reliability communication-failure"),
        (FAULT, 13, Grade.UNCERTAIN, "subnormal", "reliability member-fault"),
        (FAULT, 300, Grade.BAD, "device_fault", "reliability 300"),
    ],
)
def test_6_status_flags_reliability_and_out_of_service_become_quality(
    flags: Raw, reliability: Raw, grade: Grade, reason: str, said: str
) -> None:
    """The value stays where it may still be used."""
    value, flaw = judge(make_point("analog-input,1"), 21.5, flags, reliability)
    assert flaw is not None
    assert (flaw.grade, flaw.reason, flaw.raw) == (grade, reason, said)
    assert value == (None if grade is Grade.BAD else 21.5)


@pytest.mark.parametrize("flags", [Bits("1000"), Bits("0000"), Bits(""), None, AccessError(2, 32)])
def test_in_alarm_and_missing_flags_are_no_flaw(flags: Raw) -> None:
    """An alarm says nothing against its value, and some objects have no flags."""
    assert judge(make_point("analog-input,1"), 21.5, flags) == (21.5, None)
    assert not faulty(flags)


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (AccessError(1, 31), "config_error", "object/unknown-object"),
        (AccessError(2, 32), "config_error", "property/unknown-property"),
        (AccessError(2, 42), "config_error", "property/invalid-array-index"),
        (AccessError(2, 27), "denied", "property/read-access-denied"),
        (AccessError(4, 0), "denied", "security/other"),
        (AccessError(7, 30), "comm_lost", "communication/timeout"),
        (AccessError(0, 25), "device_fault", "device/operational-problem"),
        (AccessError(0, 3), "busy", "device/device-busy"),
        (AccessError(99, 9999), "device_fault", "99/9999"),
    ],
)
def test_errors_of_a_property_become_quality(error: AccessError, reason: str, said: str) -> None:
    """What the device said stays readable beside our reason."""
    value, flaw = judge(make_point("analog-input,1"), error, Bits("0000"))
    assert value is None
    assert flaw is not None
    assert (flaw.grade, flaw.reason, flaw.raw) == (Grade.BAD, reason, said)


def test_the_worst_finding_wins() -> None:
    """Overridden and out of range is suspect; out of range and faulty is bad."""
    point = make_point("analog-input,1", low=0.0, high=10.0)
    suspect = Quality(Grade.UNCERTAIN, "range_suspect", "21.5")
    assert judge(point, 21.5, OVERRIDDEN) == (21.5, suspect)
    assert judge(point, 21.5, FAULT, 1) == (None, Quality(Grade.BAD, "sensor_fault", "reliability no-sensor"))


@pytest.mark.parametrize(
    ("holds", "raw", "value"),
    [
        (2, Several((0, 2, 5)), True),
        (2, Several((0, 5)), False),
        (2, Several(()), False),
        (2, 2, True),
        (2, 5, False),
        (0, 0, True),
        ("governor-and-safety-gear-fault", Several((0, 2, 5)), True),
        ("governor-and-safety-gear-fault", Several((0, 5)), False),
        ("any", 0, True),
        ("any", Several((0, 2)), True),
        ("any", Several(()), False),
    ],
)
def test_a_list_is_a_truth_value_by_what_it_holds(holds: object, raw: Raw, value: bool) -> None:
    """Each fault signal of a lift is a point; a list of one is sent as its element, and its zero is a fault."""
    point = make_point("lift,1", "bool", property="fault-signals", holds=holds)
    assert judge(point, raw, Bits("0000")) == (value, None)


@pytest.mark.parametrize("raw", ["text", Several((1, "text")), 1.5, True, Opaque(b"\x0e\x0f")])
def test_what_is_no_list_of_numbers_holds_nothing_and_is_no_value(raw: Raw) -> None:
    """False would be said of something that was never looked at."""
    value, flaw = judge(make_point("lift,1", "bool", property="fault-signals", holds=1), raw, Bits("0000"))
    assert value is None
    assert flaw is not None
    assert flaw.reason == "decode_error"


OBJECTS: dict[str, tuple[str, Value]] = {
    "analog-input": ("44 41 ac 00 00", 21.5),
    "large-analog-value": ("55 08 40 35 80 00 00 00 00 00", 21.5),
    "integer-value": ("31 f9", -7.0),
    "positive-integer-value": ("22 01 00", 256.0),
    "accumulator": ("23 01 00 00", 65536.0),
    "multi-state-value": ("21 03", 3.0),
    "binary-value": ("91 01", True),
    "characterstring-value": ("75 07 00 e7 94 b5 e6 b2 b9", "电油"),
    "octetstring-value": ("62 01 ff", "01ff"),
    "bitstring-value": ("82 04 50", "0101"),
    "date-value": ("a4 7e 0b 15 06", "2026-11-21"),
    "date-pattern-value": ("a4 ff 0b ff ff", "*-11-*"),
    "time-value": ("b4 17 3b 3a 63", "23:59:58.99"),
    "datetime-value": ("a4 7e 0b 15 06 b4 17 3b 3a 63", '{"date": "2026-11-21", "time": "23:59:58.99"}'),
    "life-safety-point": ("91 02", "alarm"),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_7_object_types_of_all_kinds_say_what_their_value_is(kind: str) -> None:
    """By their type alone, without `value`: what the standard says of the present value."""
    encoded, value = OBJECTS[kind]
    spec = BacnetPoint.model_validate({"object": f"{kind},1"})
    point = make_point(f"{kind},1", spec.value, states=spec.states)
    ((_, raw),) = codec.multiple_results(bytes.fromhex(f"0c 00 00 00 01 1e 29 55 4e {encoded} 4f 1f"))
    assert judge(point, raw, Bits("0000")) == (value, None)
