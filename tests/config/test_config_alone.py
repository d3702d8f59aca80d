"""Where the gateway lives is found in files that are wrong, too: that is when it matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.alone import gateway_fields, state_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("site: h01\nstate: ./state\nnonsense: true\n", "state"),
        ("site: [h01\nstate: ./state  # here\n", "state"),
        ("\tsite: h01\nstate: '/srv/w'\n", "/srv/w"),
        ('{"site": "h01", "state": "./state", "gateway": [', "state"),
        ("site: [h01\n", "/var/lib/wardgate"),
        ("site: h01\n", "/var/lib/wardgate"),
        ("", "/var/lib/wardgate"),
    ],
)
def test_the_state_is_found_whatever_else_is_wrong(tmp_path: Path, text: str, where: str) -> None:
    """Also in what is no YAML; where nothing is written, it is where it is by default."""
    (tmp_path / "gateway.yaml").write_text(text, encoding="utf-8")
    assert state_folder(tmp_path) == tmp_path / where


def test_fields_that_can_be_understood_are_told(tmp_path: Path) -> None:
    """For verbs that need a name or a socket only."""
    (tmp_path / "gateway.yaml").write_text("site: h01\ngateway: gw-1\nx: 1\n", encoding="utf-8")
    assert gateway_fields(tmp_path) == {"site": "h01", "gateway": "gw-1", "x": 1}
