"""A real Prometheus watches over a real gateway, as the documents tell it to. Run by `make test-monitoring`."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from certificates import Authority, Issued
from mqtt_peer import free_port, until
from plant import Gateway, folder

from agent.cli.app import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "build" / "promtool" / "usr" / "bin" / "prometheus"
FOLDER = ROOT / "docs" / "monitoring"
WITHIN_S = 40.0


def configure(here: Path, port: int, issued: Issued, proof: str) -> None:
    """A gateway on one dead line, with a door for Prometheus."""
    (here / "lines.yaml").write_text("lines: {one: {protocol: modbus, host: 127.0.0.1, port: 1}}\n", encoding="utf-8")
    (here / "devices").mkdir(exist_ok=True)
    device = "devices: {lv-1: {line: one, profile: schneider-pm5300}}\n"
    (here / "devices" / "lv.yaml").write_text(device, encoding="utf-8")
    (here / "journal").mkdir(exist_ok=True)
    (here / "gateway.yaml").write_text(
        "site: h01\ngateway: gw-1\ncontrol_socket: control.sock\njournal: {path: journal}\nstate: state\n"
        f'http:\n  listen: "127.0.0.1:{port}"\n  names: [localhost]\n'
        f"  tls: {{cert: {issued.cert}, key: {{file: {issued.key}}}}}\n"
        f'  accounts: {{prometheus: {{role: view, hash: "{proof}"}}}}\n',
        encoding="utf-8",
    )


@contextmanager
def prometheus(tmp_path: Path, target: int, own: int) -> Iterator[None]:
    """With the shipped configuration, in a greater hurry, on this one gateway."""
    text = (FOLDER / "prometheus.yaml").read_text(encoding="utf-8").replace("15s", "1s")
    text = text.replace("gw-1.h01.example:8443", f"127.0.0.1:{target}")
    text = text.replace("wardgate.rules.yaml", str(FOLDER / "wardgate.rules.yaml"))
    (tmp_path / "prometheus.yaml").write_text(text, encoding="utf-8")
    folders = f"--config.file={tmp_path / 'prometheus.yaml'}", f"--storage.tsdb.path={tmp_path / 'data'}"
    listen = f"--web.listen-address=127.0.0.1:{own}", "--log.level=error"
    with subprocess.Popen([str(PROMETHEUS), *folders, *listen]) as process:
        try:
            yield
        finally:
            process.terminate()


def ask(port: int, question: str) -> list[dict[str, Any]]:
    """What Prometheus knows; nothing while it is not there yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"/api/v1/query?query={quote(question)}")
        answer = json.loads(connection.getresponse().read())
    except (OSError, json.JSONDecodeError):
        return []
    finally:
        connection.close()
    found: list[dict[str, Any]] = answer.get("data", {}).get("result", [])
    return found


async def test_6_prometheus_scrapes_a_gateway_and_its_rules_see_a_dead_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the shipped configuration, over TLS and with a token: the metrics arrive, and the condition is pending."""
    assert main(["password", "--token"]) == 0
    proof, told = capsys.readouterr()
    (tmp_path / "token").write_text(told.rpartition(" ")[2].strip(), encoding="utf-8")
    authority, port, own = Authority(tmp_path, "ca"), free_port(), free_port()
    with folder() as here, Gateway(here) as gateway:
        configure(here, port, authority.issue("127.0.0.1"), proof.strip())
        await gateway.ready()
        with prometheus(tmp_path, port, own):
            await until(lambda: bool(ask(own, 'up{job="wardgate"} == 1')), WITHIN_S)
            await until(lambda: bool(ask(own, 'ALERTS{alertname="WardgateCondition", code="line_down"}')), WITHIN_S)
            (build,) = ask(own, "wardgate_build_info")
        assert (build["metric"]["site"], build["metric"]["gateway"]) == ("h01", "gw-1")
        assert re.fullmatch(r"c-[0-9a-f]{8}", build["metric"]["cfg_ver"])
