"""The slow safety read: a server whose subscription stands still is found, and nothing else is blamed."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import pytest
from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription
from opcua_peer import OpcuaPeer, driver_for, point, poll_of

from drivers.contract import Grade
from drivers.errors import NoAnswer, Unreachable
from drivers.opcua.feed import Feed
from drivers.opcua.kinds import DOUBLE
from drivers.opcua.requests import node_id
from drivers.opcua.safety import UNREPORTED, Safety, Watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from drivers.contract import Reading
    from drivers.opcua.decode import Sample
    from drivers.opcua.driver import SubscribingOpcuaDriver

T2026 = 134_082_009_000_000_000


@pytest.fixture(scope="module")
def peer() -> Iterator[OpcuaPeer]:
    with OpcuaPeer() as peer:
        yield peer


@pytest.fixture
def silenced(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> set[ua.NodeId]:
    """Nodes whose changes the server reports no more, while its keep-alives come and its clock runs."""
    silent: set[ua.NodeId] = set()
    original = InternalSubscription.enqueue_datachange_event

    async def enqueue(self: InternalSubscription, item: int, event: Any, size: int) -> None:
        watched = self.monitored_item_srv._monitored_items[item].read_value_id
        if watched is None or watched.NodeId not in silent:
            await original(self, item, event, size)

    monkeypatch.setattr(InternalSubscription, "enqueue_datachange_event", enqueue)
    monkeypatch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr("drivers.opcua.safety.READ_EVERY_S", 0.2)
    return silent


async def shown(readings: AsyncIterator[Reading], value: float) -> Reading:
    async with asyncio.timeout(20):
        while (reading := await anext(readings)).values[0] != value:
            pass
        return reading


async def test_8_a_server_whose_subscription_stands_still_is_found_and_the_client_replaced(
    peer: OpcuaPeer, silenced: set[ua.NodeId]
) -> None:
    """The value that was read is shown, in doubt; then the connection is given up. What comes again at once is not torn
    down again and again: the reads carry the values.
    """
    await peer.add({"still.t": ua.Variant(1.0)})
    driver = cast("SubscribingOpcuaDriver", driver_for(peer.url, timeout_s=10.0))
    poll = poll_of(point("still.t"))
    await driver.connect()
    async with aclosing(driver.changes([poll])) as readings:
        await shown(readings, 1.0)
        silenced.add(peer.node("still.t"))
        await peer.write("still.t", ua.Variant(2.0))
        found = await shown(readings, 2.0)
        with pytest.raises(Unreachable, match="stands still"):
            await anext(readings)
    silenced.clear()
    await driver.connect()
    async with aclosing(driver.changes([poll])) as readings:
        again = await shown(readings, 2.0)
        silenced.add(peer.node("still.t"))
        await peer.write("still.t", ua.Variant(3.0))
        carried = [(await shown(readings, 3.0)).flaws]
        await peer.write("still.t", ua.Variant(4.0))
        carried.append((await shown(readings, 4.0)).flaws)
    counts = driver.counts()
    await driver.close()
    assert found.flaws == {0: UNREPORTED}
    assert found.source_times[0] > again.time - 60
    assert not again.flaws
    assert carried == [{0: UNREPORTED}] * 2
    assert (counts["unreported"], counts["replaced"]) == (3, 1)


# --- without a server -------------------------------------------------------------------------------------------------

GOOD, SENSOR, BUSY = 0, 0x808C_0000, 0x8010_0000


class ScriptedSession:
    """Answers each read with the next of `answers`."""

    endpoint = "opc.tcp://plc"
    nodes_per_read = 100

    def __init__(self, *answers: Sequence[Sample] | Exception) -> None:
        self.answers = list(answers)

    async def read(self, *_: object) -> Sequence[Sample]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def sample(value: object, status: int = GOOD) -> Sample:
    return 0, DOUBLE, value, status, T2026


async def looks(*answers: Any, reported: dict[int, Sample] | None = None, **item: Any) -> tuple[Safety, int, Feed]:
    """A point that was reported as 1.0 is looked at once for each answer, 10 s apart; `reported` is said in between.

    Gives also how many values were found unreported.
    """
    feed, counts = Feed([poll_of(point("t")), poll_of(point("neighbour"))]), Counter[str]()
    session = ScriptedSession(*[[each] if isinstance(each, tuple) else each for each in answers])
    times = {"sampling_s": 1.0, "publishing_s": 1.0, **item}
    safety = Safety(cast("Any", session), feed, [Watched(0, node_id(1), 7, **times)], counts)
    said: Sequence[Sample] = [sample(1.0)]
    for place in range(len(answers) + 1):
        mono = place * 10.0
        list(feed.take(said, mono, mono, 1.0))
        safety.look(7, said, mono)
        if safety._reading is not None:
            await asyncio.wait([safety._reading])
        safety.look(7, (), mono)
        said = [reported[place]] if reported and place in reported else []
    return safety, counts["unreported"], feed


@pytest.mark.parametrize(
    ("answers", "item", "unreported"),
    [
        ([sample(2.0), sample(2.0)], {}, 1),
        ([sample(2.0), sample(3.0)], {}, 1),
        ([sample(2.0)], {}, 0),
        ([sample(2.0), sample(1.0), sample(2.0)], {}, 0),
        ([sample(1.4), sample(1.4)], {"tolerance": 0.5}, 0),
        ([sample(1.6), sample(1.6)], {"tolerance": 0.5}, 1),
        ([sample(2.0)] * 3, {"sampling_s": 60.0}, 0),
        ([sample(2.0)] * 14, {"sampling_s": 60.0}, 1),
        ([sample(None, SENSOR)] * 2, {}, 1),
        ([sample(None, BUSY)] * 2, {}, 0),
        ([sample(2.0), NoAnswer("plc", "too busy"), sample(2.0)], {}, 1),
    ],
)
async def test_8_a_point_is_unreported_when_two_reads_find_it_changed(
    answers: Sequence[Any], item: dict[str, Any], unreported: int
) -> None:
    """Never by one read, within the deadband, before the server had the time, or for what speaks of the read alone."""
    safety, found, _ = await looks(*answers, **item)
    assert found == unreported
    assert safety.has_died == bool(unreported)


async def test_8_a_report_between_two_reads_clears_a_point() -> None:
    """However often the reads find something newer: the server does report."""
    _, found, feed = await looks(
        *[sample(2.0), sample(4.0)] * 2, reported={1: sample(2.0), 2: sample(3.0), 3: sample(4.0)}
    )
    assert not found
    reading, *_ = feed.take([sample(5.0)], 100.0, 100.0, 1.0)
    assert not reading.flaws


async def test_8_one_point_that_is_not_reported_costs_its_neighbours_nothing() -> None:
    """Its subscription goes on reporting others: the point is read instead, until it is reported again."""
    neighbour = 1, DOUBLE, 7.0, GOOD, T2026
    safety, found, feed = await looks(sample(2.0), sample(2.0), reported={1: neighbour})
    assert (found, safety.has_died) == (1, False)
    doubted, *_ = feed.take((), 30.0, 30.0, 1.0)
    reported, *_ = feed.take([sample(2.0)], 31.0, 31.0, 1.0)
    assert (doubted.values, doubted.flaws) == ((2.0,), {0: UNREPORTED})
    assert (reported.values, reported.flaws) == ((2.0,), {})


async def test_8_a_line_that_is_gone_is_no_finding() -> None:
    """The read that has no answer ends the connection, as any other does."""
    with pytest.raises(Unreachable):
        await looks(Unreachable("plc", "no answer"))


def test_8_a_value_in_doubt_never_hides_a_worse_flaw() -> None:
    """A sensor that failed unreported is shown as failed."""
    feed = Feed([poll_of(point("t"))])
    list(feed.take([sample(1.0)], 0.0, 0.0, 1.0))
    feed.show(0, sample(None, SENSOR), UNREPORTED)
    (reading,) = feed.take((), 1.0, 1.0, 1.0)
    assert (reading.values, reading.flaws[0].grade, reading.flaws[0].reason) == ((None,), Grade.BAD, "sensor_fault")
