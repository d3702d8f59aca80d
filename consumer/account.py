"""What was received, judged by what the gateways say they sent. Pure: no clock, no socket, no file.

Always true:
- A sequence counts as received once; whatever comes again is a duplicate.
- Only below a watermark is an absent sequence a gap.
- `changes` holds all that a restart needs since it was called last. Store it together with the events.
- Memory is bounded: what goes beyond a limit is stored, but stays out of the account (`unaccounted`), so it may be
  called a gap, never the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumer import events, watermark
from consumer.events import Event, Lane, Unreadable, mappings, text
from consumer.lanes import GatewayAccount, LaneAccount
from consumer.saved import Changes, alarm_row, alarm_state, gateway_account, gateway_row, lane_account, lane_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.alarms import AlarmState

LANES_MAX = 5000
GATEWAYS_MAX = 1000


class Account:
    """`take` every event; ask `lanes` and `gateways` what follows. `from_now` expects nothing sent before we came."""

    def __init__(self, saved: Changes | None = None, *, from_now: bool = False) -> None:
        self.lanes: dict[Lane, LaneAccount] = {}
        self.gateways: dict[str, GatewayAccount] = {}
        self.unreadable = 0
        self.unaccounted = 0
        self.complaint = ""
        self._from_now = from_now
        self._touched_lanes: set[Lane] = set()
        self._touched_gateways: set[str] = set()
        self._touched_alarms: dict[tuple[str, str], AlarmState] = {}
        if saved is not None:
            self._restore(saved)

    def take(self, event: Event) -> bool:
        """Whether it is a record to be stored. Raises `Unreadable` for a projection with a wrong body."""
        gateway = self._gateway(event)
        if gateway is None:
            self.unaccounted += 1
            return event.lane is not None
        if event.lane is not None:
            return self._record(gateway, event, event.lane)
        self._projection(gateway, event)
        return False

    def refuse(self, reason: str) -> None:
        """This message was no event."""
        self.unreadable += 1
        self.complaint = reason

    def touch(self, lane: Lane) -> None:
        """Something of this lane was changed from outside, and must survive."""
        self._touched_lanes.add(lane)

    def changes(self) -> Changes:
        """What has changed since this was called last."""
        changes = Changes(
            {(lane.source, lane.epoch, lane.stream): lane_row(self.lanes[lane]) for lane in self._touched_lanes},
            {source: gateway_row(self.gateways[source]) for source in self._touched_gateways},
            {key: alarm_row(alarm) for key, alarm in self._touched_alarms.items()},
        )
        self._touched_lanes, self._touched_gateways, self._touched_alarms = set(), set(), {}
        return changes

    def lane(self, lane: Lane) -> LaneAccount | None:
        """Known or new; None beyond the limits."""
        account = self.lanes.get(lane)
        if account is None and len(self.lanes) < LANES_MAX:
            account = self.lanes[lane] = LaneAccount(lane)
        if account is not None:
            self._touched_lanes.add(lane)
        return account

    def of(self, source: str) -> list[LaneAccount]:
        """The lanes of one gateway."""
        return [account for lane, account in self.lanes.items() if lane.source == source]

    def _gateway(self, event: Event) -> GatewayAccount | None:
        gateway = self.gateways.get(event.gateway)
        if gateway is None and len(self.gateways) < GATEWAYS_MAX:
            gateway = self.gateways[event.gateway] = GatewayAccount(event.gateway, event.base)
            self._touched_gateways.add(event.gateway)
        return gateway

    def _record(self, gateway: GatewayAccount, event: Event, lane: Lane) -> bool:
        account = self.lane(lane)
        new = account.take(event.sequence) if account is not None else None
        if new is None:
            self.unaccounted += 1
            return True
        if new:
            try:
                self._read(gateway, event, lane)
            except Unreadable as error:
                # It has its number, so it was received; what it says is lost on us.
                self.refuse(f"{event.id}: {error}")
        return new

    def _read(self, gateway: GatewayAccount, event: Event, lane: Lane) -> None:
        if event.kind == events.ALARM_TRANSITION:
            self._alarms_changed(gateway.alarms.transition(event))
        elif event.kind == events.STREAM_BEGIN:
            self._begun(gateway, event, lane)

    def _begun(self, gateway: GatewayAccount, event: Event, lane: Lane) -> None:
        previous = event.data.get("prev_epoch")
        last = events.number_or_none(event.data, "prev_last_seq")
        known = any(account.lane.epoch not in {lane.epoch, previous} for account in self.of(lane.source))
        gateway.chain(lane.epoch, previous if isinstance(previous, str) else None)
        self._touched_gateways.add(gateway.source)
        if not isinstance(previous, str) or last is None:
            return
        before = Lane(lane.source, previous, lane.stream)
        # An epoch between two that we know was missed as a whole.
        if before in self.lanes or (known and last > 0 and not self._from_now):
            account = self.lane(before)
            if account is not None:
                account.final = last

    def _projection(self, gateway: GatewayAccount, event: Event) -> None:
        if event.kind == events.WATERMARK:
            self._marked(gateway, event.data)
        elif event.kind == events.ALARM_SNAPSHOT:
            self._alarms_changed(gateway.alarms.snapshot(event))
        elif event.kind == events.GATEWAY_STATUS:
            gateway.heard(event.data)
        elif event.kind == events.GATEWAY_HEALTH:
            gateway.told(event.data)  # said anew within a minute: nothing that a restart needs
            return
        else:
            return
        self._touched_gateways.add(gateway.source)

    def _marked(self, gateway: GatewayAccount, data: dict[str, Any]) -> None:
        uplink = text(data, "uplink")
        told = [
            (Lane(gateway.source, text(each, "epoch"), text(each, "stream")), watermark.mark(each))
            for each in mappings(data, "streams")
        ]
        for lane, mark in told:
            account = self.lane(lane)
            if account is None:
                self.unaccounted += 1
                continue
            if self._from_now and not gateway.marked:
                account.begin_now(mark)
            account.mark(uplink, mark)
        gateway.marked = True
        filtered = {lane.stream for lane, mark in told if mark.filtered}
        listed = {lane for lane, _ in told}
        for account in self.of(gateway.source):
            if account.lane not in listed and account.lane.stream not in filtered and account.end():
                self._touched_lanes.add(account.lane)

    def _alarms_changed(self, alarms: Iterable[AlarmState]) -> None:
        for alarm in alarms:
            self._touched_alarms[alarm.gateway, alarm.alarm_id] = alarm

    def _restore(self, saved: Changes) -> None:
        for row in saved.lanes.values():
            account = lane_account(row)
            self.lanes[account.lane] = account
        for row in saved.gateways.values():
            self.gateways[row["source"]] = gateway_account(row)
        for row in saved.alarms.values():
            if row["gateway"] in self.gateways:
                self.gateways[row["gateway"]].alarms.restore(alarm_state(row))
