"""What machines ask of a gateway: the metrics, whether it lives, whether it is ready."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fake_desk import scrape
from probing import ask
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from agent.histogram import Histogram
from agent.metrics.exposition import render
from agent.metrics.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_desk import Served

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def numbers(text: str) -> Callable[..., float]:
    """Looks one of them up, by name and labels."""
    found = {(one.name, *sorted(one.labels.items())): one.value for family in parse(text) for one in family.samples}
    return lambda name, **labels: found[name, *sorted(labels.items())]


def test_6_every_metric_of_the_table_is_told(served: Served) -> None:
    """With its kind, its labels and what it means, as Prometheus reads it; beside them only those of the process."""
    code, content_type, text = ask(served.path, "/metrics")
    assert (code, content_type.partition(";")[0]) == (200, "text/plain")
    told = {family.name: family for family in parse(text) if family.name.startswith("wardgate_")}
    assert set(told) == {metric.name.removesuffix("_total") for metric in TABLE}
    for metric in TABLE:
        family = told[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        assert all(set(one.labels) - {"le"} == set(metric.labels) for one in family.samples)
    assert "process_resident_memory_bytes" in text


def test_the_metrics_say_what_the_status_says(served: Served) -> None:
    """Numbers from every part of the table, in seconds and bytes; what never happened is there with 0."""
    found = numbers(ask(served.path, "/metrics")[2])
    device = {"device": "lv-main", "line": "lv", "system": "pwr.lv"}
    assert found("wardgate_health_conditions", code="line_down", severity="error") == 1
    assert found("wardgate_health_conditions", code="uplink_down", severity="error") == 0
    assert found("wardgate_clock_state", state="synced") == 1
    assert found("wardgate_clock_state", state="unsynced") == 0
    assert found("wardgate_device_up", **device) == 1
    assert found("wardgate_device_round_trip_seconds", **device) == 0.0015
    assert found("wardgate_alarms_unacknowledged", colour="red") == 1
    assert found("wardgate_alarms_standing", colour="blue") == 0
    assert found("wardgate_alarms_called", within="10min") == 12
    assert found("wardgate_stream_stored_total", stream="critical") == 11
    assert found("wardgate_journal_volatile") == 1
    assert found("wardgate_uplink_waiting_records", uplink="platform", stream="telemetry") == 3
    assert found("wardgate_uplink_oldest_waiting_seconds", uplink="platform") == pytest.approx(1507.412)
    assert found("wardgate_uplink_confirmed_total", uplink="platform") == 15
    assert found("wardgate_poll_seconds_count", line="lv") == 2
    assert found("wardgate_poll_seconds_bucket", line="lv", le="0.01") == 2


def test_openmetrics_is_told_to_who_prefers_it() -> None:
    """The same numbers, and the end that the format demands."""
    body, content_type = render(scrape(), OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    # The library's parser is annotated nowhere.
    names = {family.name for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert {metric.name.removesuffix("_total") for metric in TABLE} <= names


def test_a_histogram_counts_what_lies_on_a_bound_below_it() -> None:
    """As Prometheus counts: at most so long; the last number is all of them."""
    found = Histogram((0.1, 1.0))
    for length_s in (0.1, 0.5, 1.0, 1.1, 100.0):
        found.observe(length_s)
    assert found.cumulative() == [1, 3, 5]
    assert found.sum_s == pytest.approx(102.7)


@pytest.mark.parametrize(("target", "code", "ok"), [("/healthz", 200, True), ("/readyz", 503, False)])
def test_a_probe_says_with_its_code_whether_all_is_well(served: Served, target: str, code: int, ok: bool) -> None:
    """And with its checks what is not."""
    got, content_type, body = ask(served.path, target)
    assert (got, content_type) == (code, "application/json")
    said = json.loads(body)
    assert said["ok"] is ok
    assert [what for what, check in said["checks"].items() if check != "ok"] == ([] if ok else ["journal"])
