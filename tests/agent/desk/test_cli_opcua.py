"""`wardgate opcua`: the gateway's certificate and the trust list, as files; the configuration need not be whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from opcua_certificates import certificate

from agent.cli.app import main
from drivers.opcua.identity import Unusable, thumbprint
from drivers.opcua.trust import Shown, TrustList

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text("site: h01\ngateway: gw-1\nstate: ./state\n", encoding="utf-8")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main([*arguments, "--json"]) == 0
    views: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return views


def test_9_trust_list_and_rejected_folder_by_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a line refused is listed, trusted by the first digits of its thumbprint, and removed again."""
    server = certificate("plc", uri="urn:plc")
    trust, shown = TrustList(folder / "state"), Shown([server], "urn:plc", "plc")
    with pytest.raises(Unusable):
        trust.check(shown, datetime.now(UTC).timestamp())
    at = ("--config", str(folder))
    (listed,) = said(capsys, "opcua", "trust", "list", *at)
    assert (listed["state"], listed["thumbprint"]) == ("rejected", thumbprint(server))
    digits = thumbprint(server)[:10].lower()
    (added,) = said(capsys, "opcua", "trust", "add", digits, *at)
    assert added["state"] == "trusted"
    trust.check(shown, datetime.now(UTC).timestamp())
    said(capsys, "opcua", "trust", "remove", digits, *at)
    assert said(capsys, "opcua", "trust", "list", *at) == []


def test_9_a_file_is_trusted_beforehand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A certificate that was brought along, as PEM; something else is refused with its name."""
    file = folder / "panel.pem"
    file.write_bytes(certificate("panel", uri="urn:panel").public_bytes(Encoding.PEM))
    (added,) = said(capsys, "opcua", "trust", "add", str(file), "--config", str(folder))
    assert (added["state"], added["uri"]) == ("trusted", "urn:panel")
    file.write_text("not a certificate", encoding="utf-8")
    assert main(["opcua", "trust", "add", str(file), "--config", str(folder)]) == 1
    assert "is not a certificate" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["1A2B3C4D", "1A", "no-such-file.pem"])
def test_9_what_is_not_on_file_is_a_usage_error(folder: Path, capsys: pytest.CaptureFixture[str], given: str) -> None:
    """Unknown, too short to be sure, or a file that is not there: with where to look."""
    assert main(["opcua", "trust", "add", given, "--config", str(folder)]) == 2
    assert "wardgate opcua trust list" in capsys.readouterr().err


def test_9_the_gateway_certificate_for_the_server(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made by the command where no daemon has run yet; the table names the file in Chinese too."""
    first, second = (said(capsys, "opcua", "certificate", "--config", str(folder)) for _ in range(2))
    assert first == second
    assert first[0]["uri"].endswith(":wardgate:h01-gw-1")
    assert main(["opcua", "certificate", "--config", str(folder), "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert "指纹" in out
    assert "有效期至" in out
    assert first[0]["path"] in out


def test_a_folder_without_gateway_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Says which file is missing."""
    assert main(["opcua", "trust", "list", "--config", str(tmp_path)]) == 1
    assert "gateway.yaml" in capsys.readouterr().err
