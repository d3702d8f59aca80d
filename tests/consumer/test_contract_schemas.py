"""The contract as files: written from the types, equal to what is committed, and true of what is really sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from consumer_peer import Gateway, lost, mark, read, record, watermark
from jsonschema import Draft7Validator, Draft202012Validator

from agent import asyncapi, envelope, schemas
from agent.cli.app import main
from agent.events import COMMANDS as VERBS
from agent.events import Event
from consumer.account import Account
from consumer.requests import Requests

DOCS = Path(__file__).parents[2] / "docs"
FILES = asyncapi.schema_files()
PAYLOADS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (DOCS / "payloads").glob("*.json")}
COMMANDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (DOCS / "payloads/commands").glob("*")}


def file_of(event: dict[str, Any]) -> str:
    kind = "record" if "sequence" in event else "now"
    return f"{kind}/{event['dataschema'].split('/')[2]}.schema.json"


def test_the_committed_files_are_those_of_today(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`wardgate schema events --dir docs/schemas` changes nothing."""
    assert main(["schema", "events", "--dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{len(FILES)} files in {tmp_path}\n"
    committed = {
        str(path.relative_to(DOCS / "schemas")): path.read_text() for path in (DOCS / "schemas").rglob("*.json")
    }
    assert committed == {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*.json")}


def test_the_document_and_the_schemas_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """For a pipe; and a folder without `events` is refused."""
    assert main(["schema", "asyncapi"]) == 0
    assert json.loads(capsys.readouterr().out) == FILES["asyncapi.json"]
    assert main(["schema", "events"]) == 0
    assert json.loads(capsys.readouterr().out) == FILES
    assert main(["schema", "asyncapi", "--dir", "x"]) == 2
    assert "--dir goes with `events`" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1."""
    (tmp_path / "file").touch()
    assert main(["schema", "events", "--dir", str(tmp_path / "file")]) == 1
    assert re.fullmatch(r"wardgate: cannot write .*file.* \(.*\); name a folder of yours\n", capsys.readouterr().err)


@pytest.mark.parametrize("name", [name for name in FILES if name != "asyncapi.json"])
def test_each_schema_is_one(name: str) -> None:
    """By the rules of its dialect."""
    Draft202012Validator.check_schema(FILES[name])


@pytest.mark.parametrize("name", PAYLOADS)
def test_captured_events_fit_and_what_is_wrong_does_not(name: str) -> None:
    """Whoever leaves something out, or writes a word for a number, is found out."""
    event = PAYLOADS[name]
    validator = Draft202012Validator(FILES[file_of(event)])
    validator.validate(event)
    for field in (*event, *(f"data.{key}" for key in event["data"])):
        holder, _, key = field.rpartition(".")
        broken = json.loads(json.dumps(event))
        del (broken[holder] if holder else broken)[key]
        optional = {"data.evidence", "data.source_raw"}
        assert validator.is_valid(broken) == (field in optional), field


@pytest.mark.parametrize("verb", VERBS)
def test_captured_commands_fit(verb: str) -> None:
    """One of each verb."""
    Draft202012Validator(FILES[f"command/{verb}.schema.json"]).validate(COMMANDS[verb])
    assert set(COMMANDS) == set(VERBS)


def test_what_the_consumer_says_fits() -> None:
    """Each command that it can make."""
    account = Account()
    requests = Requests(account, "him", "him-1", confirm=True, resend=True)
    account.take(read(record("alarm", 1)))
    account.take(read(watermark(mark("alarm", 9, missing=[lost(2, 3)]))))
    said = [*requests.due(1e9, 1.0), *requests.ping(1e9, 1.0)]
    verbs = [message.topic.rpartition("/")[2] for message in said]
    assert set(verbs) == {"confirm", "resend", "snapshot", "ping"}
    for verb, message in zip(verbs, said, strict=True):
        Draft202012Validator(FILES[f"command/{verb}.schema.json"]).validate(json.loads(message.payload))


def test_the_gateway_of_the_tests_speaks_as_the_real_one() -> None:
    """What it makes by hand has the fields that a consumer may rely on."""
    assert Gateway(0).confirmed == {}
    for payload, name in (
        (record("alarm", 1), "record/alarm.transition.schema.json"),
        (watermark(mark("alarm", 1, missing=[lost(1, 1)])), "now/stream.watermark.schema.json"),
    ):
        event = json.loads(payload)
        event["id"] += "-0000000000000001"
        properties = FILES[name]["$defs"]
        (whole,) = (each for each in properties.values() if "specversion" in each["properties"])
        assert set(event) == set(whole["properties"])
    (told,) = event["data"]["streams"]
    Draft202012Validator({**FILES[name], "$ref": "#/$defs/StreamMark"}).validate(told)


@pytest.mark.parametrize("name", PAYLOADS)
def test_the_document_has_the_topic_of_each_captured_event(name: str) -> None:
    """Its address fits what the gateway publishes it under, and says truly whether it is retained."""
    event = PAYLOADS[name]
    kind, event_type = ("record" if "sequence" in event else "now"), event["type"].removeprefix("wardgate.")
    home = schemas.RECORDS if kind == "record" else schemas.PROJECTIONS
    body = msgspec.convert({key: value for key, value in event["data"].items() if key != "as_of"}, home[event_type])
    topic = (
        envelope.topic(body)
        if kind == "record"
        else envelope.projected_topic(Event(event_type, "state", 0.0, "", body))
    )
    (subject,) = (each for each in asyncapi.subjects() if (each.kind, each.type) == (kind, event_type))
    assert re.fullmatch(re.sub(r"\{\w+\}", "[a-z0-9_-]+", subject.address), "wardgate/v1/h01/gw-1/" + topic)
    address = FILES["asyncapi.json"]["channels"][subject.key]["address"]
    assert address == subject.address


@pytest.mark.parametrize("name", PAYLOADS)
def test_the_older_dialect_says_the_same(name: str) -> None:
    """The document's payload schemas take what the files take."""
    event = PAYLOADS[name]
    document = FILES["asyncapi.json"]
    (message,) = (
        each
        for key, each in document["components"]["messages"].items()
        if each["name"] == event["type"].removeprefix("wardgate.")
        and key.startswith("record" if "sequence" in event else "now")
    )
    validator = Draft7Validator({**message["payload"], "components": document["components"]})
    validator.validate(event)
    assert not validator.is_valid({**event, "time": "yesterday"})


def test_ranges_are_pairs_in_both_dialects() -> None:
    """A third number, or a word, is refused by both."""
    document = FILES["asyncapi.json"]
    payload = document["components"]["messages"]["commandConfirm"]["payload"]
    older = Draft7Validator({**payload, "components": document["components"]})
    newer = Draft202012Validator(FILES["command/confirm.schema.json"])
    for ranges, fits in (
        ([[1, 2]], True),
        ([[1, 2, 3]], False),
        ([[1]], False),
        ([["1", 2]], False),
        ([[0, 2]], False),
    ):
        command = COMMANDS["confirm"] | {"args": {"epoch": "e1", "ranges": {"alarm": ranges}}}
        assert (older.is_valid(command), newer.is_valid(command)) == (fits, fits), ranges


def test_every_reference_in_the_document_leads_somewhere() -> None:
    """Also those from operation to channel to message."""
    document = FILES["asyncapi.json"]
    found = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))
    assert found
    for path in found:
        at: Any = document
        for part in path.split("/"):
            at = at[part]
    assert not re.search(r"\$defs|prefixItems", json.dumps(document))
    addresses = [channel["address"] for channel in document["channels"].values()]
    assert len(set(addresses)) == len(addresses)
