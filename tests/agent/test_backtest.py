"""Rules over recorded input, from a real journal: the same alarms as live, and what other rules would have given."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import msgspec
import pytest
from backtest_site import BEGAN, Life, alarm, batch, changed, site, state

from agent.backtest.recorded import Unusable, of_journal
from agent.backtest.replay import Replay
from agent.backtest.report import backtest
from agent.envelope import draft
from agent.events import TELEMETRY_BATCH, Event, Sample, TelemetryBatch, rfc3339
from buffer.journal import Journal
from buffer.retention import Limits
from config.judgement import Level, Limit, Mean, NoUpdate, Offline, Rate, Stuck

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agent.backtest.recorded import Item
    from buffer.record import Draft

H30 = Limit((Level("H", 30.0, "yellow"), Level("HH", 40.0, "red")), 1.0)
H35 = Limit((Level("H", 35.0, "yellow"), Level("HH", 40.0, "red")), 1.0)
H50 = Limit((Level("H", 50.0, "yellow"),), 1.0)


async def record(folder: Path, drafts: Iterable[Draft]) -> Path:
    journal = await Journal.open(folder, Limits(2**28, 1e9), wall=lambda: BEGAN)
    await asyncio.gather(*[journal.append([each]) for each in drafts])
    while journal.stats().memory_records:  # on a disk that is slow for a moment they are kept in memory until it is not
        await asyncio.sleep(0.01)
    await journal.close()
    return folder / "journal.db"


def played(path: Path, from_s: float = 0.0, to_s: float = 1e6) -> Iterable[Item]:
    return of_journal(path, BEGAN + from_s, BEGAN + to_s, lambda chunk: pytest.fail(str(chunk)))


ALARMS = (
    alarm(H30, key="limit"),
    alarm(H30, key="delayed", on_delay_s=45.0),
    alarm(Limit((Level("H", 28.0, "red"),), measure=Mean(900.0)), key="mean"),
    alarm(Limit((Level("H", 6.0, "red"),), measure=Rate(60.0, 60.0)), key="rate"),
    alarm(NoUpdate(40.0, "yellow"), key="silent"),
    alarm(Stuck(200.0, "blue"), key="stuck"),
)


@pytest.mark.parametrize("seed", range(3))
async def test_the_same_rules_give_the_alarms_that_there_were(tmp_path: Path, seed: int) -> None:
    """Whatever the conditions have to do with time: telemetry, though thinned, is enough."""
    source = random.Random(seed)
    config = site(*ALARMS)
    life = Life(config)
    value, lost_until, still_until = 25.0, 0, 0
    for mono in range(7200):
        if source.random() < 0.002:
            lost_until = mono + source.randrange(5, 120)
        if source.random() < 0.002:
            still_until = mono + source.randrange(100, 600)
        if mono >= still_until:
            value += source.choice((-1.0, 0.0, 1.0)) + (27.0 - value) * 0.02
        life.read(mono, None if mono < lost_until else round(value, 2), 20.0)
    path = await record(tmp_path, life.drafts)
    replay = Replay(config, BEGAN, stands=False)
    for item in played(path):
        replay.take(item)
    replay.end(BEGAN + 7199)
    assert life.spells.by_alarm.keys() >= {"or/or-1/t#limit", "or/or-1/t#silent", "or/or-1/t#stuck", "or/or-1/t#rate"}
    assert replay.spells.by_alarm == life.spells.by_alarm


async def test_12_alarms_that_appear_vanish_and_move_are_told(tmp_path: Path) -> None:
    """By time, with both times and the worst level; what stays is only counted."""
    values = [20.0] * 100 + [32.0] * 50 + [20.0] * 100 + [36.0] * 50 + [20.0] * 100
    path = await record(tmp_path, [batch(at, value) for at, value in enumerate(values)])
    before = site(alarm(H30), alarm(H50, key="never"), alarm(H30, key="same"))
    after = changed(before, alarm(H35), alarm(H30, key="same"), alarm(H30, key="later", on_delay_s=60.0))
    found = backtest(played(path), before, after, stands=False)
    shown = [(one.change, one.alarm_id, one.before and one.before.lasted_s) for one in found.changes]
    assert shown == [
        ("vanishes", "or/or-1/t#a", 50.0),
        ("stays", "or/or-1/t#same", 50.0),
        ("stays", "or/or-1/t#a", 50.0),
        ("stays", "or/or-1/t#same", 50.0),
    ]
    assert found.counts == {"appears": 0, "vanishes": 1, "moves": 0, "stays": 3}
    moved = backtest(played(path), before, changed(before, alarm(H30, on_delay_s=20.0)), stands=False)
    (first, second) = [one for one in moved.changes if one.change == "moves"]
    assert first.before is not None
    assert first.after is not None
    assert (first.before.began, first.after.began) == (rfc3339(BEGAN + 100), rfc3339(BEGAN + 120))
    assert (first.before.ended, first.after.ended) == (rfc3339(BEGAN + 150), rfc3339(BEGAN + 150))
    assert second.after is not None
    back = backtest(played(path), changed(before), before, stands=False)
    assert back.counts == {"appears": 4, "vanishes": 0, "moves": 0, "stays": 0}


async def test_12_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """Also where it is played in another process's order of dictionaries: all of it is sorted."""
    source = random.Random(1)
    path = await record(tmp_path, [batch(at, 30.0 + source.uniform(-10, 10)) for at in range(500)])
    before, after = site(*ALARMS), site(*ALARMS[::-1], alarm(H35, key="new"))
    first, again = (msgspec.json.encode(backtest(played(path), before, after, stands=False)) for _ in range(2))
    assert first == again


async def test_12_it_says_how_fine_its_input_is(tmp_path: Path) -> None:
    """And which points alarms look at of which there is nothing, and which it does not know."""
    config = site(alarm(H30), alarm(H30, point="sp", key="sp"))
    odd = draft(
        Event(
            TELEMETRY_BATCH,
            "telemetry",
            BEGAN,
            "or/or-1",
            TelemetryBatch(
                device="or-1",
                system="or",
                meta_ver="c",
                t0=rfc3339(BEGAN),
                samples=[Sample("gone", 0, 1.0, "change")],
            ),
        ),
        "synced",
    )
    path = await record(tmp_path, [odd, *(batch(at * 10, 20.0) for at in range(31)), state(100, "online")])
    seen = backtest(played(path), config, config, stands=False).input
    assert (seen.points, seen.samples, seen.states) == (2, 32, 1)
    assert (seen.spacing_s, seen.begin, seen.end) == (10.0, rfc3339(BEGAN), rfc3339(BEGAN + 300))
    assert (seen.missing, seen.unknown) == (["or-1/sp"], ["or-1/gone"])


async def test_a_gap_is_no_time_in_which_a_value_stood(tmp_path: Path) -> None:
    """After its heartbeat nobody knows it any more: a delay waits, and begins again when there are values."""
    config = site(alarm(H30, on_delay_s=600.0))
    path = await record(tmp_path, [batch(0, 36.0), batch(3600, 36.0), batch(3700, 20.0)])
    assert backtest(played(path), config, config, stands=False).changes == []
    assert len(backtest(played(path), config, config, stands=True).changes) == 1


async def test_what_alarms_had_recorded_comes_in_its_place(tmp_path: Path) -> None:
    """Evidence is stored after what it lies before."""
    config = site(alarm(H30))
    late = batch(50, 36.0, 36.0, 20.0, why="trigger")
    path = await record(tmp_path, [batch(0, 20.0), batch(100, 20.0), late, batch(200, 20.0)])
    (change,) = backtest(played(path), config, config, stands=False).changes
    assert change.after is not None
    assert (change.after.began, change.after.lasted_s) == (rfc3339(BEGAN + 50), 2.0)


async def test_devices_come_and_go_as_they_did(tmp_path: Path) -> None:
    """Their states are part of the input."""
    config = site(alarm(Offline("red"), point="", key="offline"))
    path = await record(tmp_path, [state(0, "online"), state(60, "offline"), state(90, "online"), batch(120, 20.0)])
    (change,) = backtest(played(path), config, config, stands=False).changes
    assert change.after is not None
    assert (change.alarm_id, change.after.began, change.after.lasted_s) == (
        "or/or-1#offline",
        rfc3339(BEGAN + 60),
        30.0,
    )


async def test_nothing_to_play_is_said(tmp_path: Path) -> None:
    """It is no result that nothing came of it."""
    path = await record(tmp_path, [batch(0, 20.0)])
    with pytest.raises(Unusable, match="--from and --to"):
        backtest(played(path, 100.0, 200.0), site(), site(), stands=False)
