"""The core schema of YAML 1.2, where PyYAML alone would read 1.1; and what we refuse beyond it."""

from __future__ import annotations

import math

import pytest

from config.document import Document
from config.yaml12 import DEPTH_MAX, load


def data(text: str) -> object:
    built, flaws = load(text)
    assert flaws == []
    return built


@pytest.mark.parametrize(
    "text",
    [
        "on",
        "off",
        "yes",
        "no",
        "y",
        "n",
        "Yes",
        "ON",
        "1_000",
        "12:30",
        "190:20:30",
        "2026-01-01",
        "0b101",
        "=",
        "1e",
        ".",
    ],
)
def test_texts_of_yaml_1_1_traps(text: str) -> None:
    """Words and numbers that YAML 1.1 turns into something else are texts."""
    assert data(f"key: {text}") == {"key": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("017", 17),
        ("0o17", 15),
        ("0x8000000000000000", 0x8000000000000000),
        ("-1", -1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    """Numbers, truth values and nothing are what the core schema says; quoted is text."""
    built = data(f"key: {text}")
    assert built == {"key": value}
    assert isinstance(built, dict)
    assert type(built["key"]) is type(value)


def test_not_a_number() -> None:
    """`.nan` is a float that equals nothing."""
    built = data("key: .nan")
    assert isinstance(built, dict)
    assert math.isnan(built["key"])


def test_keys_are_scalars_too() -> None:
    """A state's code is a number, its name a text, though it is `off`."""
    assert data("states: {0: off, 0x01: on}") == {"states": {0: "off", 1: "on"}}


def test_anchors() -> None:
    """An anchor is repeated where it is referred to."""
    assert data("a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


def test_one_key_written_two_ways_is_twice() -> None:
    """`1` and `"1"` would be one line in a file and two in the data; the second is refused."""
    _, flaws = load('1: a\n"1": b\n')
    assert [(flaw.line, flaw.what) for flaw in flaws] == [(1, "key '1' is here twice")]


@pytest.mark.parametrize("opening", ["[", "a: [", "- ", "? "])
def test_depth_is_bounded(opening: str) -> None:
    """A file of brackets is one problem; PyYAML's composer would end the process."""
    document = Document("deep.yaml", (opening * 100_000).encode())
    assert [problem.message for problem in document.problems] == ["too many levels"]


def test_depth_that_is_allowed() -> None:
    """As deep as allowed is read."""
    assert data("[" * DEPTH_MAX + "]" * DEPTH_MAX) is not None


def test_positions() -> None:
    """A value is shown where it stands, a mapping and a missing key by the key above."""
    document = Document("x.yaml", b"lines:\n  a:\n    host: h\n    list: [1, 22]\n    empty:\n")
    assert document.where(("lines", "a", "host")) == (3, 11)
    assert document.where(("lines", "a", "host"), at_key=True) == (3, 5)
    assert document.where(("lines", "a", "port")) == (2, 3)
    assert document.where(("lines", "a")) == (2, 3)
    assert document.where(("lines", "a", "list", 1)) == (4, 15)
    assert document.where(("lines", "a", "empty")) == (5, 5)
    assert document.where(()) == (1, 1)


def test_byte_order_mark() -> None:
    """What Windows editors put in front of a file is not part of it."""
    assert Document("x.yaml", b"\xef\xbb\xbfsite: h01\n").data == {"site": "h01"}
