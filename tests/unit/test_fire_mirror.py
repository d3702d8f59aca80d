"""Fire panels: the mirror shows what the panel shows, keeps its signals apart, and decides nothing for it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from alarm_bench import ALARM, LAST_KNOWN, LOST, OVER_RANGE, Bench

from agent.rules import AlarmCommand, Refused
from config.judgement import State
from config.model import FireSignal
from drivers.contract import Driver, Quality, Subscribing

FIRE = State((True,), "red")
DRIVERS = Path(__file__).parents[2] / "drivers"
WRITES = re.compile(
    r"write_?(coil|register|file|multiple|single|mask|attribute|value|property|group|node|request|service)|set_value"
    r"|life_?safety_?operation|acknowledge_?alarm|device_?communication_?control|reinitialize",
    re.IGNORECASE,
)
CALLS = {"ConditionRefresh"}
"""The one method of a server that is called: it only has the server report once more."""


def panel(**settings: object) -> Bench:
    return Bench(FIRE, system="fire", life_safety=True, shelvable=False, **settings)  # type: ignore[arg-type]  # names are those of the alarm


@pytest.mark.parametrize("quality", [LOST, OVER_RANGE, LAST_KNOWN])
def test_6_a_fire_ends_only_when_the_panel_says_so(quality: Quality) -> None:
    """Not because of a value that is bad, doubtful or old, not because of time, and not because of people."""
    bench = panel()
    bench.read(True)
    bench.read(None if quality is LOST else False, quality, after_s=1.0)
    bench.wait(3600.0)
    bench.ack()
    assert bench.run.state == "ACKED"
    (cleared,) = bench.read(False)
    assert (cleared.action, cleared.ended) == ("clear", True)


def test_6_an_acknowledgement_of_the_platform_is_stored_with_its_scope() -> None:
    """It changes nothing but the alarm here: the panel is acknowledged at the panel."""
    bench = panel()
    bench.read(True)
    (body,) = bench.order(AlarmCommand("ack", ALARM, "duty", "guard is there", scope="platform"))
    assert (body.ack.scope, body.ack.by, body.ack.comment) == ("platform", "duty", "guard is there")
    assert (body.state, body.value) == ("ACKED", True)


def test_6_a_fire_is_never_shelved_suppressed_or_filtered() -> None:
    """What hides others is refused, or marks it as a test; however often it comes, all of it is told at once."""
    bench = panel(ack=False)
    with pytest.raises(Refused, match="must never be hidden"):
        bench.shelve()
    with pytest.raises(Refused, match="never taken out of service"):
        bench.take_out()
    bench.maintain(600.0)
    for _ in range(15):
        assert [(body.action, body.hidden, body.test) for body in bench.read(True, after_s=1.0)] == [
            ("raise", False, True)
        ]
        assert [(body.action, body.hidden) for body in bench.read(False, after_s=1.0)] == [("clear", False)]


@pytest.mark.parametrize("signal", get_args(FireSignal))
def test_6_the_signals_of_a_panel_are_kept_apart(signal: FireSignal) -> None:
    """Each event says which of them it is."""
    bench = panel(signal=signal)
    assert [body.signal for body in bench.read(True) + bench.read(False)] == [signal, signal]


def test_a_signal_that_nobody_knows_says_so() -> None:
    """Where it stands because the panel is lost, that comes first; then it is what it is."""
    bench = panel(signal="trouble", fail_safe=True, stale_after_s=10.0)
    bench.read(False)
    bench.read(None, LOST)
    assert [body.signal for body in bench.wait(10.0)] == ["source_bad"]
    assert [(body.action, body.signal) for body in bench.read(True)] == [("cause_changed", "trouble")]


def test_6_no_driver_has_a_function_that_writes() -> None:
    """Neither the contract nor the code of any driver names a service that changes something in the field."""
    verbs = {name for kind in (Driver, Subscribing) for name in vars(kind) if not name.startswith("_")}
    assert verbs == {"connect", "read", "identify", "close", "changes"}
    found = {(file.name, name) for file in DRIVERS.rglob("*.py") for name in names(file) if WRITES.search(name)}
    assert found == set()


def test_the_only_method_that_is_called_in_a_server_changes_no_process() -> None:
    """OPC UA calls are methods of the server: there is one, for its own conditions."""
    called = {
        name.rpartition("_")[2]
        for file in (DRIVERS / "opcua").rglob("*.py")
        for name in names(file)
        if name.startswith("ConditionType_")
    }
    assert called == CALLS
    makers = [file.name for file in DRIVERS.rglob("*.py") if "CallMethodRequest" in names(file)]
    assert makers == ["requests.py"]


def names(file: Path) -> set[str]:
    """Everything that the code of a file refers to or defines."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
    return found
