"""What watches over gateways: page, dashboard and rules name what there is, and nothing that there is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from fake_desk import scrape
from monitoring_tables import PAGE, page

from agent.health import TABLE, Code
from agent.metrics import table
from agent.metrics.exposition import render
from config import yaml12

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = PAGE.parent / "monitoring"
OF_PROMETHEUS = {"job", "instance", "le"}
PARTS = {"histogram": ("_bucket", "_sum", "_count")}
SERIES = {f"{metric.name}{part}": metric.labels for metric in table.TABLE for part in PARTS.get(metric.kind, ("",))}
"""What a query may name, with its labels."""


def rules() -> list[dict[str, Any]]:
    data, _ = yaml12.load((FOLDER / "wardgate.rules.yaml").read_text(encoding="utf-8"))
    return [rule for group in data["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((FOLDER / "wardgate.dashboard.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def queries() -> Iterator[str]:
    for rule in rules():
        yield rule["expr"]
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_the_tables_of_metrics_and_conditions_are_those_of_the_code() -> None:
    """Made anew by `python tests/support/monitoring_tables.py`."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


def test_6_every_condition_says_in_both_languages_what_to_do() -> None:
    """One table, in which every code is: its severity, its title, what to do, zh and en."""
    assert set(TABLE) == set(get_args(Code))
    for kind in TABLE.values():
        for text in (kind.title, kind.todo):
            assert text.en.isascii()
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text.zh)
        assert kind.title != kind.todo


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_6_rules_and_dashboard_ask_for_what_there_is(query: str) -> None:
    """Every metric is one of the table or of the process, and is asked by its own labels."""
    process = set(re.findall(r"^(process_\w+)", render(scrape(), "")[0].decode(), re.MULTILINE))
    for name, selector in re.findall(r"\b((?:wardgate|process)_\w+)(?:\{([^}]*)\})?", query):
        assert name in SERIES or name in process
        labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selector))
        assert labels <= {*SERIES.get(name, ()), *OF_PROMETHEUS}
    known = {label for name, labels in SERIES.items() if name in query for label in labels}
    for grouping in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
        assert set(grouping.split(", ")) <= known | OF_PROMETHEUS


def test_a_wrong_query_would_be_found() -> None:
    """The test above is not empty."""
    assert len(set(queries())) > 30
    for wrong in ("wardgate_line_upp", 'wardgate_line_up{device="x"}', "sum by (uplink) (wardgate_line_up)"):
        with pytest.raises(AssertionError):
            test_6_rules_and_dashboard_ask_for_what_there_is(wrong)


def test_6_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    """With a severity, a sentence in both languages and the next step; no two have one name."""
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        said = rule["annotations"]
        assert said["description"].endswith(".")
        assert said["summary"].isascii()
        assert any("\u4e00" <= letter <= "\u9fff" for letter in said["summary_zh"])


def test_6_the_dashboard_can_be_laid_out() -> None:
    """Each panel has a number of its own, a title in both languages and something to show, and none hides another."""
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert " / " in panel["title"] or panel["title"].isascii() is False
        assert panel["type"] == "row" or panel["targets"]


def test_the_configuration_of_prometheus_is_the_one_that_the_page_shows() -> None:
    """The job has the name that dashboard and rules take for granted."""
    whole, _ = yaml12.load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert yaml12.load(shown)[0]["scrape_configs"] == whole["scrape_configs"]
    assert [job["job_name"] for job in whole["scrape_configs"]] == ["wardgate"]


def test_the_files_are_linked() -> None:
    """From the page that is about them."""
    text = PAGE.read_text(encoding="utf-8")
    for file in sorted(Path(FOLDER).iterdir()):
        assert f"(monitoring/{file.name})" in text
