"""docs/consume.md and the payloads beside it: captured once from a run, held against what the code writes today."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from agent import envelope, proof, schemas
from agent.events import Body, Event
from agent.proof import Source
from config.files import UplinkSpec

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "consume.md").read_text(encoding="utf-8")
PAYLOADS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((DOCS / "payloads").glob("*.json"))}


def table() -> list[list[str]]:
    """The table of topics: topic, type, stream, whether retained, links."""
    rows = PAGE.partition("\n## Topics\n")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if row.startswith("| `")]
    return [[topic.strip("`"), kind.strip("`").removeprefix("wardgate."), *more] for topic, kind, *more in cells]


TABLE = table()


def row_of(name: str) -> list[str]:
    (row,) = [row for row in TABLE if f"(payloads/{name}.json)" in row[4]]
    return row


def body_of(event: dict[str, Any]) -> Body:
    """The body as its type; a projection's `as_of` is not part of it."""
    kind = event["type"].removeprefix("wardgate.")
    data = {key: value for key, value in event["data"].items() if key != "as_of"}
    home = schemas.RECORDS if "sequence" in event else schemas.PROJECTIONS
    return msgspec.convert(data, home[kind])


@pytest.mark.parametrize("name", PAYLOADS)
def test_payload_fits_the_generated_schema(name: str) -> None:
    """Judged by a validator that is not ours."""
    event = json.loads(PAYLOADS[name])
    kind = event["type"].removeprefix("wardgate.")
    schema = schemas.record_schema(kind) if "sequence" in event else schemas.projection_schema(kind)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(event)


@pytest.mark.parametrize("name", PAYLOADS)
def test_payload_has_the_fields_of_today(name: str) -> None:
    """Neither one that is gone nor one that is missing: written again from its types it is the same."""
    event = json.loads(PAYLOADS[name])
    again = json.loads(msgspec.json.encode(body_of(event)))
    assert again == {key: value for key, value in event["data"].items() if key != "as_of"}
    kind = schemas.RecordEnvelope if "sequence" in event else schemas.ProjectionEnvelope
    assert set(event) == {*msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"], "data"}


@pytest.mark.parametrize("name", PAYLOADS)
def test_table_of_topics_is_what_is_published(name: str) -> None:
    """Topic, type, stream and retention of each captured payload."""
    event = json.loads(PAYLOADS[name])
    topic, kind, stream, retained, _ = row_of(name)
    body = body_of(event)
    is_record = "sequence" in event
    assert kind == event["type"].removeprefix("wardgate.")
    assert bool(stream) is is_record
    assert not (retained and is_record)
    told = event["source"].rpartition("/")[2]
    assert not is_record or stream == "each" or f"`{told}`" in stream
    published = envelope.topic(body) if is_record else envelope.projected_topic(Event(kind, "state", 0.0, "", body))
    segments = re.sub(r"\{\w+\}", "[a-z0-9_-]+", topic)
    assert re.fullmatch(segments, published)


def test_every_type_has_a_row() -> None:
    """Records have a stream, projections have none; every payload is linked, and a row without one says why."""
    assert {row[1] for row in TABLE if row[2]} == set(schemas.RECORDS)
    assert {row[1] for row in TABLE if not row[2]} == set(schemas.PROJECTIONS)
    assert sorted(re.findall(r"payloads/([a-z-]+)\.json", " ".join(row[4] for row in TABLE))) == sorted(PAYLOADS)
    assert all(row[4] for row in TABLE)


def test_stream_and_sequence_make_the_id() -> None:
    """The id that the page shows is that of a payload, and made of what it says."""
    for event in map(json.loads, PAYLOADS.values()):
        if "sequence" in event:
            stream = event["source"].rpartition("/")[2]
            assert event["id"] == f"gw-1-{event['epoch']}-{stream}-{event['sequence']}"
    shown = re.search(r"`(gw-1-\w+-critical-\d{16})`", PAGE)
    assert shown


def test_the_numbers_after_an_outage_are_those_of_the_payload() -> None:
    """The page quotes the captured status."""
    data = json.loads(PAYLOADS["gateway-status-live-from"])["data"]
    (quoted,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert json.loads("{" + quoted + "}") == {"last_seq": data["last_seq"], "live_from": data["live_from"]}


def consumer() -> dict[str, Any]:
    """The page's own code."""
    (code,) = re.findall(r"^```python run\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "consume.md", "exec"), names)
    return names


def numbered(event: dict[str, Any], number: int) -> str:
    return json.dumps({**event, "sequence": f"{number:016d}", "id": f"{event['id'][:-16]}{number:016d}"})


def test_receiver_of_the_page_drops_doubles_and_names_gaps() -> None:
    """Two of each, one sequence never sent, out of order."""
    event = json.loads(PAYLOADS["telemetry-batch"])
    sent = [numbered(event, number) for number in (1, 2, 3, 5, 6)] * 2
    random.Random(1).shuffle(sent)
    account = consumer()["Account"]()
    taken = [taken for payload in sent if (taken := account.take(payload)) is not None]
    assert sorted(int(one["sequence"]) for one in taken) == [1, 2, 3, 5, 6]
    assert account.missing(event["source"], event["epoch"]) == [4]
    assert account.take(PAYLOADS["device-state"]) == json.loads(PAYLOADS["device-state"])


@pytest.mark.parametrize("seed", range(6))
def test_receiver_of_the_page_keeps_the_newest_of_an_alarm(seed: int) -> None:
    """The three captured events of one occurrence end in NORM, whatever order they come in."""
    names = consumer()
    events = [json.loads(PAYLOADS[f"alarm-{action}"]) for action in ("raise", "clear", "ack")]
    assert len({event["data"]["occurrence_id"] for event in events}) == 1
    random.Random(seed).shuffle(events)
    alarms: dict[str, Any] = {}
    apply: Callable[[dict[str, Any], dict[str, Any]], None] = names["apply"]
    for event in events:
        apply(alarms, event)
    ((_, last),) = alarms.items()
    assert last["data"]["state"] == "NORM"
    assert last["data"]["ended"]


def test_the_heartbeat_and_what_silence_means_are_stated() -> None:
    """With the figures of today: what comes how often, when to alarm, and the test alarm as it is raised."""
    duty = PAGE.partition("\n### Heartbeat: alarm on silence\n")[2].partition("\n## ")[0]
    interval_s = UplinkSpec.model_fields["watermark"].default
    assert interval_s == 60
    assert "every minute" in duty
    assert f"{3 * interval_s:.0f} s by default" in duty
    assert "the platform's duty" in duty
    alarm_id = Source("h01", "{gateway}", "").alarm_id
    assert f"`{alarm_id}` in the stream `{proof.STREAM}`" in duty
    assert f"longer than {proof.CONFIRMED_S_MAX:.0f} s" in duty
    assert "`proof_overdue`" in duty
