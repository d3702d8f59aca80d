"""What watches over gateways: page, dashboard and rules name what there is, and nothing that there is not."""

from __future__ import annotations

from typing import get_args

from monitoring_tables import PAGE, page

from agent.health import TABLE, Code


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
