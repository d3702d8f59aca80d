"""Rules, dashboard and metrics, judged by Prometheus's own checker. Run by `make test-monitoring`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from fake_desk import scrape

from agent.metrics.exposition import render

ROOT = Path(__file__).parents[2]
PROMTOOL = ROOT / "build" / "promtool" / "usr" / "bin" / "promtool"
FOLDER = ROOT / "docs" / "monitoring"
TESTS = Path(__file__).with_name("rules.test.yaml")


def promtool(*arguments: str, text: bytes = b"") -> str:
    """What it says; fails where it finds something wrong."""
    done = subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def test_the_rules_are_understood() -> None:
    """Every expression and every template."""
    assert "SUCCESS" in promtool("check", "rules", str(FOLDER / "wardgate.rules.yaml"))


def test_the_configuration_of_prometheus_is_understood() -> None:
    """Without looking for the files that a site has to put beside it."""
    promtool("check", "config", "--syntax-only", str(FOLDER / "prometheus.yaml"))


def test_the_rules_fire_when_they_should_and_not_when_they_should_not() -> None:
    """On series that were written down."""
    assert "SUCCESS" in promtool("test", "rules", str(TESTS))


def test_the_queries_of_the_dashboard_are_understood(tmp_path: Path) -> None:
    """Each as if it were a rule, with the variable of the dashboard filled in."""
    panels = json.loads((FOLDER / "wardgate.dashboard.json").read_text(encoding="utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    rules = [{"record": f"query:{n}", "expr": query.replace("$instance", ".*")} for n, query in enumerate(queries)]
    file = tmp_path / "queries.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    assert f"SUCCESS: {len(queries)} rules found" in promtool("check", "rules", str(file))


def test_the_metrics_are_named_as_is_usual() -> None:
    """Units, suffixes and help; the format itself, too."""
    promtool("check", "metrics", text=render(scrape(), "")[0])
