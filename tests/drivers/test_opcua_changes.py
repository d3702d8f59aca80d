"""The driver listens to a subscription of a real server."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.object_ids import ObjectIds
from opcua_peer import NAMESPACE, OpcuaPeer, driver_for, point, poll_of, with_status
from pace import in_time

from drivers.contract import Counting, Grade, Quality, Subscribing
from drivers.errors import Unreachable
from drivers.opcua.requests import node_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from drivers.contract import Poll, Reading
    from drivers.opcua.driver import SubscribingOpcuaDriver

V = ua.VariantType


@pytest.fixture(scope="module")
def peer() -> Iterator[OpcuaPeer]:
    with OpcuaPeer() as peer:
        yield peer


@asynccontextmanager
async def listening(peer: OpcuaPeer, *polls: Poll, **settings: Any) -> AsyncIterator[AsyncIterator[Reading]]:
    """A connected driver's readings."""
    driver = cast("SubscribingOpcuaDriver", driver_for(peer.url, **settings))
    assert isinstance(driver, Subscribing)
    await driver.connect()
    try:
        async with aclosing(driver.changes(polls)) as readings:
            yield readings
    finally:
        await driver.close()


async def test_the_first_reading_is_whole_and_later_ones_name_what_came(peer: OpcuaPeer) -> None:
    """All values first, then only the changed indexes; the rest keep their last value."""
    await peer.add({f"w.{n}": ua.Variant(float(n)) for n in range(5)})
    poll = poll_of(*(point(f"w.{n}") for n in range(5)))
    async with listening(peer, poll) as readings:
        first = await anext(readings)
        await peer.write("w.1", ua.Variant(10.0))
        second = await anext(readings)
    assert list(first.values) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert first.changed == ((0, 5),)
    assert list(second.values) == [0.0, 10.0, 2.0, 3.0, 4.0]
    assert second.changed == ((1, 2),)
    assert second.source_times[1] > first.source_times[1]
    assert second.source_times[0] == first.source_times[0]


async def test_9_a_value_without_a_source_time_has_the_server_time(peer: OpcuaPeer) -> None:
    """A source that stamps one value and not the next: the old time is not shown beside the new value."""
    await peer.add({"t.t": ua.Variant(1.0)})
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    await peer.write("t.t", ua.DataValue(ua.Variant(1.5), SourceTimestamp=cast("Any", long_ago)))
    async with listening(peer, poll_of(point("t.t"))) as readings:
        first = await anext(readings)
        await peer.write("t.t", ua.DataValue(ua.Variant(2.0), ServerTimestamp=cast("Any", datetime.now(UTC))))
        second = await anext(readings)
    assert first.source_times == {0: long_ago.timestamp()}
    assert second.values == (2.0,)
    assert second.source_times[0] == pytest.approx(time.time(), abs=60)


async def test_one_notification_is_one_reading_per_poll(peer: OpcuaPeer) -> None:
    """What one publish response brings of two devices is one reading for each, with exact spans."""
    await peer.add({f"o.{n}": ua.Variant(float(n)) for n in range(6)})
    left, right = (poll_of(*(point(f"o.{n}") for n in half)) for half in (range(3), range(3, 6)))
    async with listening(peer, left, right, publishing="200ms") as readings:
        first = {(await anext(readings)).poll, (await anext(readings)).poll}
        await peer.run(_write_all(peer, {"o.0": 7.0, "o.2": 8.0, "o.5": 9.0}))
        changed = {reading.poll: reading for reading in (await anext(readings), await anext(readings))}
    assert first == {left, right}
    assert changed[left].changed == ((0, 1), (2, 3))
    assert changed[right].changed == ((2, 3),)


async def _write_all(peer: OpcuaPeer, values: dict[str, float]) -> None:
    """All in one step of the server's loop, so that one notification holds them."""
    for name, value in values.items():
        await peer.server.get_node(peer.node(name)).write_value(value)


async def test_8_a_pulse_between_two_notifications_is_seen(peer: OpcuaPeer) -> None:
    """Several queued values of one point become readings of their own, in order: the rules see each."""
    await peer.add({"p.alarm": ua.Variant(False), "p.t": ua.Variant(1.0)})
    poll = poll_of(point("p.alarm", type="bool"), point("p.t"))
    async with listening(peer, poll, publishing="300ms") as readings:
        await anext(readings)
        await peer.write("p.alarm", ua.Variant(True), ua.Variant(False), ua.Variant(True), ua.Variant(False))
        seen = [(await anext(readings)).values[0] for _ in range(4)]
    assert seen == [True, False, True, False]


async def test_a_node_that_cannot_be_watched_is_a_flaw_of_its_point(peer: OpcuaPeer) -> None:
    """The server's status code for one item is the quality of that point; its neighbours report."""
    await peer.add({"n.t": ua.Variant(1.0)})
    elsewhere = point("n.elsewhere", spec={"node": "nsu=urn:not:there;s=x"})
    async with listening(peer, poll_of(point("n.nothing"), point("n.t"), elsewhere)) as readings:
        first = await anext(readings)
    assert list(first.values) == [None, 1.0, None]
    assert first.flaws == {
        0: Quality(Grade.BAD, "config_error", "0x80340000"),
        2: Quality(Grade.BAD, "config_error", "no namespace urn:not:there"),
    }


async def test_a_poll_without_any_good_node_still_reports(peer: OpcuaPeer) -> None:
    """Its first reading says what is wrong with every point."""
    async with listening(peer, poll_of(point("z.1"), point("z.2"))) as readings:
        first = await anext(readings)
    assert set(first.flaws) == {0, 1}


async def test_a_value_that_turns_bad_and_good_again(peer: OpcuaPeer) -> None:
    """The flaw comes with the status and goes with it; a bad value is none."""
    await peer.add({"b.t": ua.Variant(1.0)})
    async with listening(peer, poll_of(point("b.t"))) as readings:
        await anext(readings)
        await peer.write("b.t", with_status(ua.Variant(1.0), 0x808C_0000))
        bad = await anext(readings)
        await peer.write("b.t", ua.Variant(2.0))
        good = await anext(readings)
    assert bad.values == (None,)
    assert bad.flaws == {0: Quality(Grade.BAD, "sensor_fault", "0x808C0000")}
    assert (good.values, dict(good.flaws)) == ((2.0,), {})


async def test_8_never_a_silent_drop_overflow_becomes_quality_and_a_count(peer: OpcuaPeer) -> None:
    """A server that dropped queued values says so: the value is uncertain until the next one, and each time counts."""
    await peer.add({"v.t": ua.Variant(1.0)})
    driver = cast("SubscribingOpcuaDriver", driver_for(peer.url))
    assert isinstance(driver, Counting)
    await driver.connect()
    async with aclosing(driver.changes([poll_of(point("v.t"))])) as readings:
        await anext(readings)
        for count in (1, 2):
            await peer.write("v.t", with_status(ua.Variant(3.0 + count), 0x0480))
            reading = await anext(readings)
            assert reading.values == (3.0 + count,)
            raw = f"0x00000480, {count} overflows"
            assert reading.flaws == {0: Quality(Grade.UNCERTAIN, "insufficient_data", raw)}
        await peer.write("v.t", ua.Variant(9.0))
        assert not (await anext(readings)).flaws
    assert driver.counts()["overflows"] == 2
    await driver.close()


async def test_8_a_queue_that_really_overflows(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """More values than the queue holds between two notifications: the newest come. This server marks no loss."""
    monkeypatch.setattr("drivers.opcua.requests.QUEUE_MAX", 3)
    await peer.add({"q.t": ua.Variant(0)})
    async with listening(peer, poll_of(point("q.t", type="integer")), publishing="300ms") as readings:
        await anext(readings)
        await peer.write("q.t", *(ua.Variant(value) for value in range(1, 9)))
        seen = [await anext(readings) for _ in range(3)]
    assert [reading.values for reading in seen] == [(6,), (7,), (8,)]


async def test_8_subscriptions_per_publishing_interval(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points that name the same interval share a subscription; the slow ones do not hold up the quick ones."""
    await peer.add({f"g.{n}": ua.Variant(0.0) for n in range(4)})
    asked: list[tuple[float, int]] = []
    original = SubscriptionService.create_monitored_items

    async def create(self: SubscriptionService, params: ua.CreateMonitoredItemsParameters) -> Any:
        interval_ms = self.subscriptions[params.SubscriptionId].data.RevisedPublishingInterval
        asked.append((interval_ms, len(params.ItemsToCreate)))
        return await original(self, params)

    monkeypatch.setattr(SubscriptionService, "create_monitored_items", create)
    slow = {"spec": {"publishing": "1h"}}
    points = [point("g.0"), point("g.1", **slow), point("g.2", **slow), point("g.3", spec={"publishing": "200ms"})]
    polls = [poll_of(each) for each in points]
    async with listening(peer, *polls) as readings:
        first = {(await anext(readings)).poll for _ in range(4)}
        await peer.run(_write_all(peer, {"g.1": 1.0, "g.0": 1.0}))
        while not (reading := await anext(readings)).changed:
            pass
    assert reading.poll is polls[0]
    assert first == set(polls)
    assert asked == [(50.0, 1), (200.0, 1), (3_600_000.0, 2)]


async def test_8_sampling_interval_per_point(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is asked to look at a point as often as is written, at the others once per publishing interval; and to
    queue what it sees in five seconds.
    """
    await peer.add({f"s.{n}": ua.Variant(0.0) for n in "abc"})
    asked: list[tuple[float, int]] = []
    original = SubscriptionService.create_monitored_items

    async def create(self: SubscriptionService, params: ua.CreateMonitoredItemsParameters) -> Any:
        wanted = [cast("Any", item.RequestedParameters) for item in params.ItemsToCreate]
        asked.extend((each.SamplingInterval, each.QueueSize) for each in wanted)
        return await original(self, params)

    monkeypatch.setattr(SubscriptionService, "create_monitored_items", create)
    points = point("s.a"), point("s.b", spec={"sampling": "100ms"}), point("s.c", spec={"sampling": "1h"})
    async with listening(peer, poll_of(*points), publishing="500ms") as readings:
        await anext(readings)
    assert asked == [(500.0, 10), (100.0, 50), (3_600_000.0, 2)]


async def test_8_server_side_deadband(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is sent in the unit of the node, a percentage as such; the server keeps smaller changes to itself."""
    await peer.add({f"d.{n}": ua.Variant(10.0) for n in "abc"})
    asked: list[ua.DataChangeFilter | None] = []
    original = SubscriptionService.create_monitored_items

    async def create(self: SubscriptionService, params: ua.CreateMonitoredItemsParameters) -> Any:
        for item in params.ItemsToCreate:
            wanted: Any = cast("Any", item.RequestedParameters).Filter
            asked.append(wanted if hasattr(wanted, "DeadbandType") else None)
            if asked[-1] and asked[-1].DeadbandType == 2:
                cast("Any", item.RequestedParameters).Filter = None  # the library's server does not know percent
        return await original(self, params)

    monkeypatch.setattr(SubscriptionService, "create_monitored_items", create)
    scaled = point("d.a", scale=0.1, spec={"server_deadband": 0.5})
    points = scaled, point("d.b", spec={"server_deadband": "2%"}), point("d.c")
    async with listening(peer, poll_of(*points)) as readings:
        await anext(readings)
        await peer.write("d.a", ua.Variant(14.0))
        await peer.write("d.c", ua.Variant(1.0))
        quiet = await anext(readings)
        await peer.write("d.a", ua.Variant(21.0))
        loud = await anext(readings)
    assert [each and (each.DeadbandType, each.DeadbandValue) for each in asked] == [(1, 5.0), (2, 2.0), None]
    assert quiet.values[0] == 1.0
    assert loud.values[0] == 2.1


async def test_8_a_server_without_deadband_sends_all(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses the filter: the point is watched without one instead of not at all."""
    await peer.add({"e.a": ua.Variant(1.0), "e.b": ua.Variant(2.0)})
    original = SubscriptionService.create_monitored_items

    async def refuse(self: SubscriptionService, params: ua.CreateMonitoredItemsParameters) -> Any:
        results = await original(self, params)
        for item, result in zip(params.ItemsToCreate, results, strict=True):
            if hasattr(cast("Any", item.RequestedParameters).Filter, "DeadbandType"):
                result.StatusCode = ua.StatusCode(ua.UInt32(0x8044_0000))
        return results

    monkeypatch.setattr(SubscriptionService, "create_monitored_items", refuse)
    points = point("e.a", spec={"server_deadband": 0.5}), point("e.b")
    async with listening(peer, poll_of(*points)) as readings:
        first = await anext(readings)
    assert (first.values, dict(first.flaws)) == ((1.0, 2.0), {})


async def test_8_a_server_that_bears_few_publish_requests(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses the second one: the first one goes on to bring everything."""
    await peer.add({"f.t": ua.Variant(0.0)})
    original = InternalSession.publish
    waiting = 0

    def publish(self: InternalSession, *arguments: Any) -> Any:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            raise ServiceError(0x8078_0000)
        return original(self, *arguments)

    monkeypatch.setattr(InternalSession, "publish", publish)
    async with listening(peer, poll_of(point("f.t"))) as readings:
        await anext(readings)
        for value in (1.0, 2.0, 3.0):
            await peer.write("f.t", ua.Variant(value))
            assert (await anext(readings)).values == (value,)
    assert waiting > 3


async def test_8_a_frozen_server_is_found_by_data_liveness(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers everything, but its clock stands still: what it says may be as old as that."""
    monkeypatch.setattr("drivers.opcua.session.PROBE_S_MAX", 0.05)
    monkeypatch.setattr("drivers.opcua.session.STOPPED_CLOCK_S", 0.3)
    await peer.add({"s.t": ua.Variant(0.0)})
    frozen = ua.DataValue(ua.Variant(datetime(2026, 1, 1, tzinfo=UTC)))
    original = InternalSession.read
    stopped = asyncio.Event()

    async def read(self: InternalSession, params: ua.ReadParameters) -> list[ua.DataValue]:
        values: list[ua.DataValue] = await original(self, params)
        clock = [node.NodeId.Identifier == ObjectIds.Server_ServerStatus_CurrentTime for node in params.NodesToRead]
        now = ua.DataValue(ua.Variant(datetime.now(UTC)))
        shown = frozen if stopped.is_set() else now
        return [shown if is_clock else value for is_clock, value in zip(clock, values, strict=True)]

    monkeypatch.setattr(InternalSession, "read", read)
    async with listening(peer, poll_of(point("s.t"))) as readings:
        await anext(readings)
        for value in range(1, 10):
            await peer.write("s.t", ua.Variant(float(value)))
            await anext(readings)
        stopped.set()
        with pytest.raises(Unreachable, match="closed"):
            await anext(readings)


async def test_8_nodes_by_browse_path(peer: OpcuaPeer) -> None:
    """By names from the Objects folder, with indexes or below a namespace URI; what is not there is a flaw."""
    node = await peer.run(peer.server.nodes.objects.add_object(peer.index, "room/1"))
    await peer.run(node.add_variable(peer.index, "t", 21.5))
    texts = (
        f"/{peer.index}:room&/1/{peer.index}:t",
        f"nsu={NAMESPACE};/room&/1/t",
        f"nsu={NAMESPACE};/room&/1/nothing",
        "nsu=urn:not:there;/a/b",
        "/Server/ServerStatus/State",
    )
    poll = poll_of(*(point(f"b.{n}", spec={"node": text}) for n, text in enumerate(texts)))
    async with listening(peer, poll) as readings:
        first = await anext(readings)
    assert first.values == (21.5, 21.5, None, None, 0)
    assert {index: (flaw.reason, flaw.raw) for index, flaw in first.flaws.items()} == {
        2: ("config_error", "path: BadNoMatch (0x806F0000)"),
        3: ("config_error", "no namespace urn:not:there"),
    }
    driver = driver_for(peer.url, mode="read")
    await driver.connect()
    assert (await driver.read(poll)).values == first.values
    await driver.close()


async def test_8_never_a_silent_drop_the_initial_values_of_2000_items_all_arrive(peer: OpcuaPeer) -> None:
    """The library's iterator drops all beyond 1,000 in silence; here the first reading holds every one."""
    await peer.add({f"i.{n}": ua.Variant(float(n)) for n in range(2000)})
    poll = poll_of(*(point(f"i.{n}") for n in range(2000)))
    async with listening(peer, poll) as readings:
        first = await anext(readings)
    assert list(first.values) == [float(n) for n in range(2000)]
    assert not first.flaws


async def test_a_server_that_splits_its_first_values(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reading waits until each point has reported, however many notifications that takes."""
    await peer.add({f"s.{n}": ua.Variant(float(n)) for n in range(10)})
    original = InternalSubscription._pop_triggered_datachanges

    def three_at_a_time(self: InternalSubscription, result: ua.PublishResult) -> None:
        rest = dict(list(self._triggered_datachanges.items())[3:])
        self._triggered_datachanges = dict(list(self._triggered_datachanges.items())[:3])
        original(self, result)
        self._triggered_datachanges = rest

    monkeypatch.setattr(InternalSubscription, "_pop_triggered_datachanges", three_at_a_time)
    async with listening(peer, poll_of(*(point(f"s.{n}") for n in range(10)))) as readings:
        first = await anext(readings)
    assert list(first.values) == [float(n) for n in range(10)]


async def test_a_point_without_an_initial_value_does_not_hold_up_the_others(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that says nothing of one item: after a while it is not_connected, and the poll reports."""
    monkeypatch.setattr("drivers.opcua.feed.FIRST_S", 0.1)
    await peer.add({"h.mute": ua.Variant(1.0), "h.t": ua.Variant(2.0)})
    original = InternalSubscription.enqueue_datachange_event
    mute = peer.node("h.mute")

    async def enqueue(self: InternalSubscription, item: int, event: ua.MonitoredItemNotification, size: int) -> None:
        watched = self.monitored_item_srv._monitored_items[item].read_value_id
        if watched is None or watched.NodeId != mute:
            await original(self, item, event, size)

    monkeypatch.setattr(InternalSubscription, "enqueue_datachange_event", enqueue)
    monkeypatch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.1)
    async with listening(peer, poll_of(point("h.mute"), point("h.t"))) as readings:
        first = await anext(readings)
    assert list(first.values) == [None, 2.0]
    assert first.flaws == {0: Quality(Grade.BAD, "not_connected", "no initial value")}


async def test_8_quiet_subscriptions_are_not_stale_while_keep_alives_come(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep-alives become readings in which nothing changed, at least as often as the contract says."""
    monkeypatch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr("drivers.opcua.feed.LIFE_S", 0.4)
    await peer.add({"l.t": ua.Variant(1.0)})
    async with listening(peer, poll_of(point("l.t"), interval_s=0.1)) as readings:
        first = await anext(readings)
        proofs = [await anext(readings) for _ in range(3)]
    assert [(proof.changed, proof.values) for proof in proofs] == [((), (1.0,))] * 3
    times = [first.mono, *(proof.mono for proof in proofs)]
    assert all(later - earlier < 0.45 for earlier, later in pairwise(times))


async def test_a_server_with_rare_keep_alives_is_asked_whether_it_lives(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It granted a keep-alive every ten minutes only: the proof of life is an answer to a read instead."""
    original = SubscriptionService.create_subscription

    async def revise(
        self: SubscriptionService, params: ua.CreateSubscriptionParameters, *rest: Any, **named: Any
    ) -> ua.CreateSubscriptionResult:
        params.RequestedMaxKeepAliveCount = ua.UInt32(12_000)
        return await original(self, params, *rest, **named)

    monkeypatch.setattr(SubscriptionService, "create_subscription", revise)
    monkeypatch.setattr("drivers.opcua.publishing.PROBE_S", 0.1)
    monkeypatch.setattr("drivers.opcua.feed.LIFE_S", 0.2)
    await peer.add({"k.t": ua.Variant(1.0)})
    async with listening(peer, poll_of(point("k.t"), interval_s=0.1)) as readings:
        await anext(readings)
        proof = await anext(readings)
        with peer.frozen(), pytest.raises(Unreachable):
            await anext(readings)
    assert proof.changed == ()


async def test_8_a_frozen_server_is_found_by_its_silence(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its connection open and says nothing: after two keep-alive periods and the timeout it is Unreachable."""
    monkeypatch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.1)
    await peer.add({"z.t": ua.Variant(1.0)})
    async with listening(peer, poll_of(point("z.t")), timeout_s=0.3) as readings:
        await anext(readings)
        with peer.frozen():
            before = time.monotonic()
            with pytest.raises(Unreachable, match="no sign of life"):
                async for _ in readings:
                    pass
            took = time.monotonic() - before
    assert took > 0.3
    assert in_time(took, 1.5)


async def test_a_busy_gateway_does_not_blame_the_server(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After our own loop hung for longer than the limit, an answer that is still coming in is taken first."""
    monkeypatch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.05)
    await peer.add({"y.t": ua.Variant("short")})
    async with listening(peer, poll_of(point("y.t", type="string")), timeout_s=0.2) as readings:
        await anext(readings)
        waiting = asyncio.ensure_future(anext(readings))
        await asyncio.sleep(0)
        # Too long for one read of a socket.
        writing = asyncio.run_coroutine_threadsafe(peer._write("y.t", (ua.Variant("x" * 3_000_000),)), peer._loop)
        time.sleep(0.6)  # noqa: ASYNC251 - the loop itself has to hang
        assert (await waiting).flaws == {0: Quality(Grade.BAD, "decode_error", "String")}
        writing.result(0)


async def test_8_a_cut_connection_ends_the_readings_and_is_made_again(peer: OpcuaPeer) -> None:
    """The iterator raises Unreachable at once; after connect it starts anew with a whole reading."""
    await peer.add({"c.t": ua.Variant(1.0)})
    poll = poll_of(point("c.t"))
    async with listening(peer, poll) as readings:
        await anext(readings)
        await peer.drop()
        with pytest.raises(Unreachable):
            await anext(readings)
    async with listening(peer, poll) as readings:
        assert (await anext(readings)).changed == ((0, 1),)


async def test_8_never_a_silent_drop_a_missing_notification_is_a_lost_line(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gap in the sequence means that values were lost: everything is asked for anew instead of going on."""
    await peer.add({"m.t": ua.Variant(1.0)})
    async with listening(peer, poll_of(point("m.t"))) as readings:
        await anext(readings)
        original = InternalSubscription._pop_publish_result

        def skip(self: InternalSubscription) -> ua.PublishResult:
            self._notification_seq += 1
            return original(self)

        monkeypatch.setattr(InternalSubscription, "_pop_publish_result", skip)
        await peer.write("m.t", ua.Variant(2.0))
        with pytest.raises(Unreachable, match="is missing"):
            async for _ in readings:
                pass


async def test_a_subscription_that_the_server_ends_is_a_lost_line(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status change notification is not overheard."""
    monkeypatch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.1)
    await peer.add({"e.t": ua.Variant(1.0)})
    served = peer.server.iserver.subscription_service.subscriptions
    before = set(served)
    async with listening(peer, poll_of(point("e.t"))) as readings:
        await anext(readings)
        (subscription,) = (served[number] for number in set(served) - before)
        await peer.run(subscription.enqueue_statuschange(ua.StatusCode(ua.UInt32(0x800A_0000))))
        with pytest.raises(Unreachable, match="BadTimeout"):
            await anext(readings)


async def test_reading_while_listening(peer: OpcuaPeer) -> None:
    """A person may ask for a device at any time without disturbing its subscription."""
    await peer.add({"d.t": ua.Variant(1.0)})
    poll = poll_of(point("d.t"))
    driver = cast("SubscribingOpcuaDriver", driver_for(peer.url))
    await driver.connect()
    async with aclosing(driver.changes([poll])) as readings:
        await anext(readings)
        assert (await driver.read(poll)).values == (1.0,)
        await peer.write("d.t", ua.Variant(2.0))
        assert (await anext(readings)).values == (2.0,)
    await driver.close()


async def test_a_cancelled_listener_leaves_nothing_behind(peer: OpcuaPeer) -> None:
    """Cancelled while it waits, then closed: no task stays here, no subscription at the server."""
    await peer.add({"x.t": ua.Variant(1.0)})
    served = peer.server.iserver.subscription_service.subscriptions
    before = set(served)
    driver = cast("SubscribingOpcuaDriver", driver_for(peer.url))
    await driver.connect()
    readings = driver.changes([poll_of(point("x.t"))])
    await anext(readings)
    waiting = asyncio.ensure_future(anext(readings))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await driver.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not set(served) - before


async def test_8_a_renumbered_namespace_is_found_again(peer: OpcuaPeer) -> None:
    """A node given by namespace URI is resolved at each connect."""
    await peer.add({"r.t": ua.Variant(6.0)})
    array = peer.server.get_node(node_id(ObjectIds.Server_NamespaceArray))
    uris = await peer.run(array.read_value())
    assert uris[peer.index] == NAMESPACE
    poll = poll_of(point("r.t"))
    async with listening(peer, poll) as readings:
        assert (await anext(readings)).values == (6.0,)
    await peer.run(array.write_value([*uris[: peer.index], "urn:something:else", NAMESPACE]))
    try:
        async with listening(peer, poll) as readings:
            moved = await anext(readings)
    finally:
        await peer.run(array.write_value(uris))
    assert moved.flaws == {0: Quality(Grade.BAD, "config_error", "0x80340000")}
