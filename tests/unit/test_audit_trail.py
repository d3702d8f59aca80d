"""The audit trail: one chain, whoever appends, whatever restarts."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING

import jsonschema

from agent import schemas
from agent.audit import GATEWAY, GENESIS, Trail, digest
from agent.clock import ManualClock
from agent.envelope import Origin, splice
from agent.events import AUDIT, Actor, Audit
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

ORIGIN = Origin("h01", "gw-a1")
ANNA = Actor(type="user", id="anna", role="operator")


async def opened(folder: Path) -> Journal:
    return await Journal.open(folder, Limits(2_000_000, 3600.0), wall=lambda: 1_000_000.0)


async def entries(journal: Journal) -> list[dict[str, Any]]:
    """What a receiver gets."""
    records = await journal.read("audit", 0, 100)
    events: list[dict[str, Any]] = [json.loads(splice(record, ORIGIN)) for record in records]
    for event in events:
        jsonschema.validate(event, schemas.record_schema(AUDIT))
    return [event["data"] for event in events]


def recomputed(entry: dict[str, Any]) -> str:
    """The hash as `digest` describes it, with nothing of ours."""
    plain = json.dumps({**entry, "hash": ""}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest()


async def test_the_chain_can_be_checked_by_anyone(tmp_path: Path) -> None:
    """Each entry names the hash of the one before; changing, dropping or swapping one breaks it."""
    journal = await opened(tmp_path)
    trail = Trail(journal, ManualClock())
    await asyncio.gather(
        trail.append(ANNA, "ack", "hvac.ahu/ahu-1/t#high", reason="已通知 ICU", before="UNACK", after="ACKED"),
        trail.append(GATEWAY, "buffer_drop", "uplink/main/telemetry", after="7f3a9c20/telemetry/7: 1 set aside"),
        trail.append(ANNA, "shelve", "x/y/z#a", result="refused", code="not_shelvable"),
    )
    found = await entries(journal)
    assert [entry["verb"] for entry in found] == ["ack", "buffer_drop", "shelve"]
    assert [entry["prev_hash"] for entry in found] == [GENESIS, found[0]["hash"], found[1]["hash"]]
    assert [recomputed(entry) for entry in found] == [entry["hash"] for entry in found]
    assert recomputed({**found[1], "after": "nothing"}) != found[1]["hash"]
    await journal.close()


async def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Where it was, because its end is stored with its last entry."""
    for verb in ("first", "second"):
        journal = await opened(tmp_path)
        await Trail(journal, ManualClock()).append(GATEWAY, verb, "x")
        await journal.close()
    journal = await opened(tmp_path)
    first, second = await entries(journal)
    assert second["prev_hash"] == first["hash"] != GENESIS
    await journal.close()


async def test_nobody_fills_the_journal_by_knocking(tmp_path: Path) -> None:
    """Thirty entries a minute about who was let in or turned away; how many are missing is said by the next one."""
    journal, clock = await opened(tmp_path), ManualClock()
    trail = Trail(journal, clock)
    for _ in range(40):
        trail.turned_away(ANNA, "GET /v1/status", "anna has no role here")
    clock.advance(60)
    trail.let_in(ANNA, "page from 10.0.0.5")
    await trail.append(GATEWAY, "end", "x")
    found = await entries(journal)
    assert [entry["verb"] for entry in found] == ["access"] * 30 + ["login", "end"]
    assert found[0]["result"] == "refused"
    assert found[30]["reason"] == "10 more were not written down"
    await journal.close()


def test_the_hash_covers_everything_but_itself() -> None:
    """Another value in any field is another hash."""
    entry = Audit(
        actor=ANNA,
        verb="ack",
        target="x",
        before=None,
        after=None,
        reason="",
        result="done",
        code=None,
        prev_hash=GENESIS,
        hash="",
    )
    others: list[dict[str, Any]] = [
        {"actor": GATEWAY},
        {"verb": "reset"},
        {"target": "y"},
        {"before": "a"},
        {"after": "a"},
        {"reason": "a"},
        {"result": "refused"},
        {"code": "a"},
        {"prev_hash": "1" * 64},
    ]
    hashes = {digest(entry)} | {digest(Audit(**{**_fields(entry), **other})) for other in others}
    assert len(hashes) == 1 + len(others)
    assert digest(Audit(**{**_fields(entry), "hash": "anything"})) == digest(entry)


def _fields(entry: Audit) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}
