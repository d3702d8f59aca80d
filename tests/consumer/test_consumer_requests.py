"""What the consumer says to the gateways, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from consumer_peer import BASE, lost, mark, read, record, result, status, watermark

from consumer import requests as requests_module
from consumer.account import Account
from consumer.report import report
from consumer.requests import Message, Requests

WALL_S = 1_795_230_907.0

Command = dict[str, Any]


def parsed(messages: list[Message]) -> list[tuple[str, Command]]:
    """Verb and payload; every message goes below the gateway's own topic."""
    assert all(message.topic.startswith(BASE + "cmd/") for message in messages)
    return [(message.topic.rpartition("/")[2], json.loads(message.payload)) for message in messages]


class Speaker:
    """An account with requests, and the time."""

    def __init__(self, *, confirm: bool = False, resend: bool = False) -> None:
        self.account = Account()
        self.requests = Requests(self.account, "him", "him-1", confirm=confirm, resend=resend)
        self.now_s = 100.0

    def hears(self, *payloads: bytes) -> None:
        for payload in payloads:
            event = read(payload)
            if event.kind == "cmd.result":
                self.requests.answered(event, self.now_s)
            self.account.take(event)

    def says(self, verb: str, after_s: float = 0) -> list[Command]:
        self.now_s += after_s
        said = parsed(self.requests.due(WALL_S, self.now_s))
        return [command for name, command in said if name == verb]


def test_a_silent_consumer_says_nothing() -> None:
    """Whoever may only read is not to publish."""
    speaker = Speaker()
    speaker.hears(record("alarm", 2), watermark(mark("alarm", 3)))
    assert not speaker.requests.due(WALL_S, 0)
    assert speaker.requests.silent


def test_a_gateway_is_asked_for_its_alarms_once_a_session() -> None:
    """A consumer starts from the snapshot."""
    speaker = Speaker(resend=True)
    speaker.hears(record("alarm", 1))
    (command,) = speaker.says("snapshot")
    assert command == {
        "cmd_id": "him-1-1",
        "issued_at": "2026-11-21T03:15:07.000Z",
        "expires_at": "2026-11-21T03:20:07.000Z",
        "actor": {"type": "platform", "id": "him", "role": "consumer"},
        "args": {},
    }
    assert not speaker.says("snapshot", 100)
    speaker.requests.connected()
    assert speaker.says("snapshot")


def test_what_is_received_is_confirmed_in_ranges_until_that_is_answered() -> None:
    """Batched, one command for each epoch, again when no answer comes, never twice at once."""
    speaker = Speaker(confirm=True)
    speaker.hears(
        *(record("alarm", number) for number in (1, 2, 3, 5)), record("state", 1), record("alarm", 1, epoch="e2")
    )
    first, second = speaker.says("confirm")
    assert first["args"] == {"epoch": "e1", "ranges": {"alarm": [[1, 3], [5, 5]], "state": [[1, 1]]}}
    assert second["args"] == {"epoch": "e2", "ranges": {"alarm": [[1, 1]]}}
    speaker.hears(record("alarm", 4))
    assert not speaker.says("confirm", 0.5)
    (third,) = speaker.says("confirm", 0.5)
    assert third["args"] == {"epoch": "e1", "ranges": {"alarm": [[4, 4]]}}
    speaker.hears(result(first, "confirm"), result(third, "confirm"))
    (again,) = speaker.says("confirm", 11)
    assert again["args"] == second["args"]
    assert again["cmd_id"] != second["cmd_id"]
    assert speaker.requests.confirming
    speaker.hears(result(again, "confirm"))
    assert not speaker.says("confirm", 100)
    assert not speaker.requests.confirming


def test_a_gateway_that_wants_no_confirmation_gets_none_until_it_is_back() -> None:
    """Its settings may have changed when it connects anew."""
    speaker = Speaker(confirm=True)
    speaker.hears(status(connection=1), record("alarm", 1))
    (command,) = speaker.says("confirm")
    answer = read(result(command, "confirm", code="not_confirming"))
    assert (
        speaker.requests.answered(answer, speaker.now_s)
        == "/site/h01/gw/gw-1 refused `confirm` (not_confirming): do something else"
    )
    assert not speaker.says("confirm", 100)
    assert not speaker.requests.confirming
    speaker.hears(status(connection=2))
    assert speaker.says("confirm")


def test_a_gap_is_asked_for_again_only_after_a_while() -> None:
    """Also when a part of it has come meanwhile; another gap is asked for at once."""
    speaker = Speaker(resend=True)
    speaker.hears(record("alarm", 1), record("alarm", 9), watermark(mark("alarm", 9)))
    (command,) = speaker.says("resend")
    assert command["args"] == {"epoch": "e1", "stream": "alarm", "from": 2, "to": 8}
    speaker.hears(result(command, "resend", resent=7, dropped=[]), record("alarm", 4))
    assert not speaker.says("resend", 9)
    speaker.hears(record("alarm", 12), watermark(mark("alarm", 12)))
    (other,) = speaker.says("resend", 0.5)
    assert other["args"] == {"epoch": "e1", "stream": "alarm", "from": 10, "to": 11}
    again = speaker.says("resend", 0.5)
    assert [(each["args"]["from"], each["args"]["to"]) for each in again] == [(2, 3), (5, 8)]


def test_only_so_many_resends_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long outage must not become a storm of commands, nor one of millions of records."""
    monkeypatch.setattr(requests_module, "RESEND_SEQUENCES_MAX", 10)
    speaker = Speaker(resend=True)
    speaker.hears(watermark(mark("alarm", 100)))
    asked = speaker.says("resend")
    assert [(each["args"]["from"], each["args"]["to"]) for each in asked] == [(1, 10), (11, 20), (21, 30), (31, 40)]
    assert not speaker.says("resend", 1)
    speaker.hears(result(asked[1], "resend", resent=10, dropped=[]))
    (next_,) = speaker.says("resend", 0.5)
    assert next_["args"]["from"] == 41


@pytest.mark.parametrize("code", ["unknown_epoch", "not_kept"])
def test_what_the_gateway_refuses_for_ever_is_not_asked_for_again(code: str) -> None:
    """It is lost, with the gateway's reason."""
    speaker = Speaker(resend=True)
    speaker.hears(watermark(mark("alarm", 3)))
    (command,) = speaker.says("resend")
    speaker.hears(result(command, "resend", code=code))
    assert not speaker.says("resend", 100)
    told = report(speaker.account)
    assert (told.verdict, told.lost_records) == ("COMPLETE", 3)
    assert told.gateways[0].streams[0].lost[0].reason == code


def test_what_a_resend_could_not_find_is_lost() -> None:
    """The rest is still awaited."""
    speaker = Speaker(resend=True)
    speaker.hears(watermark(mark("alarm", 5)))
    (command,) = speaker.says("resend")
    speaker.hears(result(command, "resend", resent=3, dropped=[lost(1, 2)]))
    told = report(speaker.account).gateways[0].streams[0]
    assert (told.gaps, told.lost_records, told.verdict) == (((3, 5),), 2, "GAPS")


def test_answers_to_others_and_strange_ones_change_nothing() -> None:
    """Several consumers may speak with one gateway."""
    speaker = Speaker(resend=True)
    speaker.hears(watermark(mark("alarm", 5)))
    (command,) = speaker.says("resend")
    speaker.hears(result({"cmd_id": "somebody-else-1"}, "resend", code="not_kept"))
    assert report(speaker.account).lost_records == 0
    speaker.hears(result(command, "resend", code="not_kept"), result(command, "resend", code="not_kept"))
    assert report(speaker.account).lost_records == 5


def test_a_ping_goes_to_every_gateway() -> None:
    """For a last watermark."""
    speaker = Speaker(resend=True)
    speaker.hears(record("alarm", 1))
    ((verb, command),) = parsed(speaker.requests.ping(WALL_S, 1))
    assert (verb, command["args"]) == ("ping", {})


@pytest.mark.parametrize("code", ["malformed", "expired", "not_allowed"])
def test_a_refusal_that_asking_again_does_not_mend_is_not_provoked_at_once(code: str) -> None:
    """Every refusal is an audit record at the gateway."""
    speaker = Speaker(confirm=True, resend=True)
    speaker.hears(record("alarm", 1), watermark(mark("alarm", 3)))
    for verb, command in parsed(speaker.requests.due(WALL_S, speaker.now_s)):
        speaker.hears(result(command, verb, code=code))
    assert not speaker.requests.due(WALL_S, speaker.now_s + 59)
    assert {verb for verb, _ in parsed(speaker.requests.due(WALL_S, speaker.now_s + 60))} == {"confirm", "resend"}


def test_a_busy_gateway_is_asked_again_after_the_usual_while() -> None:
    """It said itself that it will do."""
    speaker = Speaker(resend=True)
    speaker.hears(watermark(mark("alarm", 3)))
    (command,) = speaker.says("resend")
    assert speaker.requests.answered(read(result(command, "resend", code="busy")), speaker.now_s) is None
    assert not speaker.says("resend", 9)
    assert speaker.says("resend", 1)


def test_an_epoch_that_the_gateway_has_forgotten_needs_no_confirmation() -> None:
    """It has settled all of it; until the next session it is left alone."""
    speaker = Speaker(confirm=True)
    speaker.hears(record("alarm", 1, epoch="e0"))
    (command,) = speaker.says("confirm")
    speaker.hears(result(command, "confirm", code="unknown_epoch"))
    assert not speaker.says("confirm", 100)
    assert not speaker.requests.confirming


def test_nothing_is_said_to_a_gateway_that_is_away() -> None:
    """Nobody would hear it; it is said when it is back."""
    speaker = Speaker(confirm=True, resend=True)
    speaker.hears(status("offline", 3), record("alarm", 1), watermark(mark("alarm", 3)))
    assert not speaker.requests.due(WALL_S, 100)
    speaker.hears(status("online", 4))
    assert {verb for verb, _ in parsed(speaker.requests.due(WALL_S, 101))} == {"snapshot", "confirm", "resend"}


def test_a_resend_under_way_is_not_doubled() -> None:
    """Its answer comes when all of it was sent, which takes as long as it takes."""
    speaker = Speaker(resend=True)
    speaker.hears(watermark(mark("alarm", 3)))
    assert speaker.says("resend")
    assert not speaker.says("resend", 60)
    assert speaker.says("resend", 61)


def test_with_a_filter_only_what_lacks_is_given_up() -> None:
    """The gateway names all that it has no more, due or not; the rest stays due."""
    speaker = Speaker(resend=True)
    speaker.hears(record("alarm", 50), watermark(mark("alarm", 100, count=4)))
    (command,) = speaker.says("resend")
    assert command["args"] == {"epoch": "e1", "stream": "alarm", "from": 1, "to": 100}
    speaker.hears(record("alarm", 90), result(command, "resend", resent=1, dropped=[lost(1, 80)]))
    told = report(speaker.account)
    assert (told.verdict, told.lost_records) == ("COMPLETE", 2)
    speaker.hears(watermark(mark("alarm", 110, count=5)))
    assert report(speaker.account).gap_records == 1
