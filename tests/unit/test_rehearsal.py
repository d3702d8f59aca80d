"""Rule tests that users write: played on virtual time, compared to the moment, refused where they cannot be meant."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import config
from agent.rehearsal import Outcome, read, rehearse
from config.errors import ConfigInvalid
from config.load import load
from drivers.registry import protocols

if TYPE_CHECKING:
    from config.model import Config

CASES = Path(__file__).parents[1] / "cases" / "rule-tests"
LOW = "or/or-1/o2_p#oxygen-low"


@pytest.fixture(scope="module")
def hospital() -> Config:
    return load(Path(config.__file__).parent / "examples", protocols())


def played(hospital: Config, folder: Path, steps: str) -> Outcome:
    file = folder / "test.yaml"
    file.write_text(f"start: 2026-11-22T02:00\ntests:\n  one:\n{steps}", encoding="utf-8")
    (test,) = read(file, hospital)
    return rehearse(test, hospital)


def came(outcome: Outcome) -> list[tuple[float, str]]:
    """What came unexpected, in order."""
    return [(event.at_s, event.action) for event in outcome.unexpected]


def test_what_is_expected_at_its_moment_is_well(hospital: Config, tmp_path: Path) -> None:
    """Raise after the on-delay, acknowledgement, clear: each at exactly its time, with level and colour."""
    steps = f"""
    0s: {{set: {{or-1/o2_p: 400}}}}
    10s: {{set: {{or-1/o2_p: 315}}}}
    12s: {{expect: {{{LOW}: raise L red}}}}
    20s: {{ack: {LOW}, expect: {{{LOW}: ack}}}}
    1min: {{set: {{or-1/o2_p: 400}}, expect: {{{LOW}: clear}}}}
"""
    assert played(hospital, tmp_path, steps).is_well


def test_another_moment_level_or_colour_is_not_what_was_expected(hospital: Config, tmp_path: Path) -> None:
    """No tolerance: a second late is missing there and unexpected here."""
    for wrong in (
        "    13s: {expect: {or/or-1/o2_p#oxygen-low: raise}}\n",
        f"    12s: {{expect: {{{LOW}: raise LL}}}}\n",
    ):
        steps = f"    0s: {{set: {{or-1/o2_p: 400}}}}\n    10s: {{set: {{or-1/o2_p: 315}}}}\n{wrong}    20s: {{}}\n"
        outcome = played(hospital, tmp_path, steps)
        assert came(outcome) == [(12.0, "raise")]
        assert [expected.alarm for _, expected in outcome.missing] == [LOW]
        assert not outcome.is_well


def test_a_value_stands_and_is_asked_for_again(hospital: Config, tmp_path: Path) -> None:
    """A quarter of an hour is one line of the test; the device goes on answering meanwhile."""
    steps = """
    0s: {set: {or-1/rh: 65}}
    14min: {}
    15min: {expect: {or/or-1/rh#humidity: raise H orange}}
    20min: {}
"""
    assert played(hospital, tmp_path, steps).is_well


def test_bad_pauses_and_uncertain_does_not_clear(hospital: Config, tmp_path: Path) -> None:
    """The delay counts what was confirmed good: from 0 s to the poll at 1 s, then from 60 s on."""
    steps = """
    0s: {set: {or-1/o2_p: 315}}
    1500ms: {set: {or-1/o2_p: {quality: bad}}}
    60s: {set: {or-1/o2_p: 315}}
    61s: {expect: {or/or-1/o2_p#oxygen-low: raise}}
    70s: {set: {or-1/o2_p: {value: 400, quality: uncertain}}}
    80s: {set: {or-1/o2_p: 400}, expect: {or/or-1/o2_p#oxygen-low: clear}}
"""
    assert played(hospital, tmp_path, steps).is_well


def test_3_a_sensor_beyond_its_range_can_be_tried(hospital: Config, tmp_path: Path) -> None:
    """Each side raises its own limit after the delay, without a value; neither clears the other."""
    steps = f"""
    0s: {{set: {{or-1/o2_p: 400}}}}
    10s: {{set: {{or-1/o2_p: {{quality: under_range}}}}}}
    12s: {{expect: {{{LOW}: raise L red}}}}
    20s: {{set: {{or-1/o2_p: {{quality: over_range}}}}}}
    22s: {{expect: {{or/or-1/o2_p#oxygen-high: raise H red}}}}
    30s: {{set: {{or-1/o2_p: {{quality: under_range}}}}}}
    40s: {{set: {{or-1/o2_p: 400}}, expect: {{{LOW}: clear, or/or-1/o2_p#oxygen-high: clear}}}}
"""
    assert played(hospital, tmp_path, steps).is_well


def test_a_silent_device_neither_raises_nor_clears(hospital: Config, tmp_path: Path) -> None:
    """Its delays stand still from its last answer on, and go on when it answers again."""
    steps = """
    0s: {set: {or-1/o2_p: 315}}
    500ms: {silent: or-1}
    1h: {set: {or-1/o2_p: 315}}
    3602s: {expect: {or/or-1/o2_p#oxygen-low: raise}}
"""
    assert played(hospital, tmp_path, steps).is_well


def test_a_device_that_stays_silent_is_offline(tmp_path: Path) -> None:
    """By the same count of missed polls as on a line: an alarm on that comes and goes in a test too."""
    folder = tmp_path / "hospital"
    shutil.copytree(Path(config.__file__).parent / "examples", folder)
    (folder / "alarms").mkdir()
    rule = "rules: {all: {select: {system: or}, alarms: {lost: {offline: true, colour: orange}}}}\n"
    (folder / "alarms" / "all.yaml").write_text(rule, encoding="utf-8")
    steps = """
    0s: {set: {or-1/o2_p: 400, or-1/dp: 10, or-1/t: 22}}
    500ms: {silent: or-1}
    10s: {expect: {or/or-1#lost: raise red}}
    1min: {set: {or-1/o2_p: 400}, expect: {or/or-1#lost: clear}}
"""
    assert played(load(folder, protocols()), tmp_path, steps).is_well


def test_an_order_that_means_nothing_is_told(hospital: Config, tmp_path: Path) -> None:
    """Nothing stands that could be acknowledged."""
    outcome = played(hospital, tmp_path, f"    5s: {{ack: {LOW}}}\n")
    ((at_s, reason),) = outcome.refused
    assert at_s == 5
    assert "nothing to acknowledge" in reason
    assert not outcome.is_well


@pytest.mark.parametrize("case", sorted(folder.name for folder in CASES.iterdir()))
def test_mistake_in_a_rule_test_is_told(hospital: Config, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly the expected lines, each with file, line, column and what to write instead."""
    monkeypatch.chdir(CASES / case)
    with pytest.raises(ConfigInvalid) as caught:
        read(Path("test.yaml"), hospital)
    assert f"{caught.value}\n" == (CASES / case / "expected.txt").read_text(encoding="utf-8")


def test_folder_without_rule_tests(hospital: Config, tmp_path: Path) -> None:
    """Named, with what to do; a file that is not there too."""
    with pytest.raises(ConfigInvalid, match=r"holds no rule test; write one in a file NAME\.yaml, such as tests: "):
        read(tmp_path, hospital)
    for absent, where in (("none.yaml", r"none\.yaml"), ("rule-tests", r"rule-tests/NAME\.yaml")):
        said = rf"{absent}: there is no rule test; write a test in .*{where}, such as tests: .*, or name another file"
        with pytest.raises(ConfigInvalid, match=said):
            read(tmp_path / absent, hospital)
