"""What the platform may ask for: read, checked, and carried out once."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from uplink_rig import transition

from agent import schemas
from agent.events import CommandResult, ConfirmCommand, ResendCommand
from agent.uplink import commands as commands_module
from agent.uplink.commands import Memory, Received, Refused, read, read_head
from agent.uplink.snapshot import PART_BYTES_MAX, parts

NOW = 1_795_230_907.0
ACTOR = {"type": "platform", "id": "p-1", "role": "consumer"}


def command(**changes: Any) -> dict[str, Any]:
    base = {
        "cmd_id": "c-1",
        "issued_at": "2026-11-21T03:15:00Z",
        "expires_at": "2026-11-21T03:20:00.000Z",
        "actor": ACTOR,
        "args": {},
    }
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def received(verb: str = "ping", **changes: Any) -> Received:
    return Received(verb, json.dumps(command(**changes)).encode())


def code_of(one: Received) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        read_head(one)
        read(one, NOW)
    return caught.value.code, caught.value.message


def test_each_verb_is_read_as_its_schema_says() -> None:
    """What validates is read, with its own arguments."""
    confirm = received("confirm", args={"epoch": "e", "ranges": {"alarm": [[1, 3], [5, 5]]}})
    resend = received("resend", args={"epoch": "e", "stream": "alarm", "from": 2, "to": 4})
    evidence = received("evidence", args={"alarm_id": "pwr.lv/m1/u#high", "occurrence_id": None})
    for one in (confirm, resend, evidence, received("snapshot"), received("ping")):
        jsonschema.validate(json.loads(one.payload), schemas.command_schema(one.verb))
    first, second = read(confirm, NOW), read(resend, NOW)
    assert isinstance(first, ConfirmCommand)
    assert isinstance(second, ResendCommand)
    assert first.args.ranges == {"alarm": [(1, 3), (5, 5)]}
    assert (second.args.first, second.args.last) == (2, 4)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Received("ping", b"\xff{}"), "schema"),
        (Received("ping", b"[]"), "object"),
        (Received("ping", b'{"cmd_id": 1}'), "cmd_id"),
        (received(cmd_id=""), "cmd_id"),
        (received(cmd_id="x" * 65), "cmd_id"),
        (received(issued_at=None), "issued_at"),
        (received(issued_at="yesterday"), "issued_at"),
        (received(expires_at="2026-11-21T03:20:00"), "expires_at"),
        (received(issued_at="2026-11-21T03:21:00Z"), "before it was issued"),
        (received(actor={"type": "robot", "id": "", "role": ""}), "actor"),
        (received("confirm", args={"epoch": "e", "ranges": {"alarm": [[0, 3]]}}), "ranges"),
        (received("confirm", args={"epoch": "e", "ranges": {"alarm": [[1, 2, 3]]}}), "ranges"),
        (received("resend", args={"epoch": "e", "stream": "alarm", "from": 1}), "to"),
        (Received("ping", json.dumps(command()).encode(), retained=True), "without retain"),
        (Received("ping", b" " * (commands_module.PAYLOAD_BYTES_MAX + 1)), "at most"),
    ],
)
def test_what_cannot_be_read_is_malformed(one: Received, words: str) -> None:
    """One code, and a message that names the place."""
    code, message = code_of(one)
    assert code == "malformed"
    assert words in message


@pytest.mark.parametrize("verb", ["ack", "shelve", "write", "", "confirm/x", "#"])
def test_no_other_verb_is_allowed(verb: str) -> None:
    """Nothing that changes an alarm, and nothing that could reach a device."""
    code, message = code_of(received(verb))
    assert code == "not_allowed"
    assert "confirm, evidence, ping, resend, snapshot" in message


def test_a_site_may_allow_less() -> None:
    """The list is the site's."""
    with pytest.raises(Refused, match="snapshot is not allowed here; allowed are ping"):
        read(received("snapshot"), NOW, frozenset({"ping"}))


def test_a_late_command_is_expired() -> None:
    """By the wall clock of the gateway, which the message names."""
    code, message = code_of(received(expires_at="2026-11-21T03:15:07Z"))
    assert code == "expired"
    assert "2026-11-21T03:15:07.000Z" in message
    assert read(received(expires_at="2026-11-21T11:15:08+08:00"), NOW).cmd_id == "c-1"


def answer(cmd_id: str) -> CommandResult:
    return CommandResult(cmd_id=cmd_id, verb="ping", uplink="main", result="done", code=None, message="", args={})


def test_a_command_is_carried_out_once() -> None:
    """The same again is given the first answer, none while there is none; its id is nobody else's."""
    memory = Memory()
    one = received()
    assert not memory.known("c-1", one)
    memory.begin("c-1", one)
    assert memory.known("c-1", one)
    assert memory.answer("c-1") is None
    memory.end(answer("c-1"))
    assert memory.answer("c-1") == answer("c-1")
    for other in (received("snapshot"), received(expires_at="2026-11-21T03:21:00Z")):
        with pytest.raises(Refused) as caught:
            memory.known("c-1", other)
        assert caught.value.code == "repeated"


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten, and an answer to one of those is not remembered either."""
    monkeypatch.setattr(commands_module, "REMEMBERED_MAX", 3)
    memory = Memory()
    for number in range(5):
        memory.begin(f"c-{number}", received())
    memory.end(answer("c-0"))
    assert [memory.known(f"c-{number}", received()) for number in range(5)] == [False, False, True, True, True]


def test_a_snapshot_comes_in_parts_that_a_broker_takes() -> None:
    """Every alarm once, in order, each part below 64 KiB; without an alarm there is one empty part."""
    (empty,) = parts([])
    assert (empty.part, empty.of, empty.alarms) == (1, 1, [])
    alarms = [msgspec.structs.replace(transition(), alarm_id=f"a-{number}") for number in range(200)]
    made = parts(alarms)
    assert [part.part for part in made] == list(range(1, len(made) + 1))
    assert {part.of for part in made} == {len(made)}
    assert len(made) > 2
    assert [alarm.alarm_id for part in made for alarm in part.alarms] == [alarm.alarm_id for alarm in alarms]
    assert all(PART_BYTES_MAX / 2 < len(msgspec.json.encode(part)) < 64 * 1024 for part in made[:-1])
