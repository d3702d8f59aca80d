"""`wardgate password`: what it prints is what gateway.yaml takes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from config_toy import GATEWAY, accepted
from page_rig import PASSWORD

from agent.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DEVICE = "devices:\n  a: {line: one, system: pwr.lv}\n"


def test_the_hash_is_taken_by_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a password and of a token, each of which then opens the account; neither is in what is stored."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert main(["password", "--stdin"]) == 0
    of_password = capsys.readouterr().out.strip()
    assert main(["password", "--token"]) == 0
    of_token, told = capsys.readouterr()
    token = told.rpartition(" ")[2].strip()
    http = (
        'http:\n  listen: "127.0.0.1:8080"\n  accounts:\n'
        f'    anna: {{role: configure, hash: "{of_password}"}}\n    prom: {{role: view, hash: "{of_token.strip()}"}}\n'
    )
    config = accepted(tmp_path, DEVICE, gateway=GATEWAY + http)
    assert config.http is not None
    assert config.http.accounts["anna"].proof.fits(PASSWORD)
    assert config.http.accounts["prom"].proof.fits(token)
    assert PASSWORD not in http
    assert token not in http


def test_a_short_password_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With how long it has to be, and without repeating it."""
    monkeypatch.setattr("sys.stdin", io.StringIO("hospital1\n"))
    assert main(["password", "--stdin"]) == 1
    said = capsys.readouterr().err
    assert "12 or more" in said
    assert "hospital1" not in said
