"""Whatever is in the files: a configuration, or problems with their places; never a traceback, never a hang."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from config_toy import TOY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import ConfigInvalid
from config.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from config.errors import Problem

GOOD: dict[str, Any] = {
    "gateway.yaml": {
        "site": "h01",
        "gateway": "gw-1",
        "name": {"zh": "网关", "en": "Gateway"},
        "journal": {"path": "j", "size_max": "1GB"},
        "poll": {"L": "1s"},
        "uplinks": {"main": {"brokers": ["mqtt://h"], "password": {"env": "PW"}}},
    },
    "lines.yaml": {"lines": {"one": {"protocol": "toy", "host": "h", "timeout": "2s"}}},
    "devices/d.yaml": {
        "common": {"line": "one", "place": {"floor": "f01"}},
        "devices": {
            "m-1": {
                "profile": "own",
                "address": {"unit": 2},
                "omit": ["i"],
                "points": {
                    "u": {"unit": "kV"},
                    "e": {"at": 3, "value": "enum", "states": {"0": "a"}},
                    "dp": {"at": 4, "unit": "Pa"},
                    "t": {"at": 5, "unit": "Cel"},
                },
                "alarms": {
                    "pack": ["hvac.rm.positive", "hvac.rm"],
                    "omit": ["door"],
                    "override": {"pressure": {"limit": {"H": 30}, "text": {"zh": "{device}"}}},
                    "x": {"point": "u", "limit": {"H": 5}, "colour": {"H": "red"}, "text": {"zh": "高"}},
                    "y": {"point": "e", "state": ["a"], "colour": "red"},
                },
            }
        },
    },
    "alarms/rules.yaml": {
        "rules": {
            "all": {
                "select": {"system": ["pwr.lv"], "place": {"floor": "f01"}},
                "alarms": {
                    "z": {
                        "point": "d{n}",
                        "limit": {"L": 1},
                        "unit": "Pa",
                        "optional": True,
                        "colour": "blue",
                        "basis": {"source": "s", "status": "verified"},
                        "depends_on": "d",
                        "confirmed_by": {"name": "n", "date": "2026-11-22"},
                    }
                },
            }
        }
    },
    "profiles/own.yaml": {
        "protocol": "toy",
        "source": "s",
        "system": "pwr.lv",
        "address": {"unit": 1},
        "points": {"u": {"at": 1, "low": 0, "high": 9}, "i": {"unit": "A"}},
    },
}
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just([{}, None]),
    st.just({"": None, "a": {"b": [1]}}),
)


def test_it_is_good_to_begin_with(tmp_path: Path) -> None:
    """What is damaged below is a configuration, but for the number of a state, which JSON puts into quotes."""
    judge(tmp_path, written(GOOD))
    assert [problem.field for problem in problems(tmp_path)] == ["devices.m-1.points.e.states.0"]


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in children for place in places(value, (*path, key)))]


PLACES = [place for place in places(GOOD) if len(place) > 1]


def replaced(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    files = copy.deepcopy(GOOD)
    parent: Any = files
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return files


def judge(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    for problem in problems(folder):
        assert problem.line > 0 or not problem.field
        assert "\n" not in str(problem)


def problems(folder: Path) -> tuple[Problem, ...]:
    try:
        load(folder, TOY)
    except ConfigInvalid as invalid:
        return invalid.problems
    return ()


def written(files: dict[str, Any]) -> dict[str, bytes]:
    return {name: json.dumps(data, ensure_ascii=False).encode() for name, data in files.items()}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
@given(value=STRANGE)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_strange_value_in_any_place(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    """Each value of each file is replaced by something else."""
    judge(tmp_path, written(replaced(place, value)))


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_text(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes of a file are lost, changed or inserted."""
    files = written(GOOD)
    name = data.draw(st.sampled_from(sorted(files)))
    content = files[name]
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 20)))
    files[name] = content[:start] + data.draw(st.binary(max_size=6)) + content[end:]
    judge(tmp_path, files)
