"""Following a server's alarms and conditions (OPC 10000-9): one monitored item for its events, and refreshes.

A server that cannot do so costs the points that want it, never the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from drivers.contract import Grade, Quality
from drivers.errors import NoAnswer, Refused
from drivers.opcua import requests
from drivers.opcua.conditions import Conditions, Following
from drivers.opcua.faults import name_of, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.opcua.decode import Publication, Sample
    from drivers.opcua.session import Session
    from drivers.opcua.subscription import Subscription

REFRESH_IN_PROGRESS = 0x8097_0000


class Alarms:
    """The source alarms of one connection; `handle` is that of the item for all events."""

    def __init__(self, session: Session, subscription: Subscription, following: Sequence[Following]) -> None:
        self.conditions = Conditions(following)
        self._session = session
        self._subscription = subscription

    async def start(self, handle: int) -> Quality | None:
        """Watch events and ask for what stands; gives why that cannot be. Raises `DriverError`."""
        (status,) = await self._subscription.watch_requests([requests.events(handle, self.conditions.fields)])
        if status & 0x8000_0000:
            return Quality(Grade.BAD, "config_error", f"no events: {name_of(status)}")
        return await self._refresh()

    async def take(self, publication: Publication) -> Sequence[Sample]:
        """What these events change. Raises `DriverError`."""
        samples = self.conditions.take(fields for _, fields in publication.events)
        if self.conditions.refresh_wanted:
            self.conditions.refresh_wanted = False
            await self._refresh()
        return samples

    async def _refresh(self) -> Quality | None:
        """Have the server report every condition that is not normal. Changes nothing in the plant."""
        doing = "asking which alarms stand"
        request = requests.condition_refresh(self._subscription.number)
        try:
            body = await self._session.send(request, doing, NoAnswer)
        except (Refused, NoAnswer) as error:
            return Quality(Grade.BAD, "config_error", f"no alarms: {error.what}")
        with translated(self._session.endpoint, doing):
            answer = ua_binary.struct_from_binary(ua.CallResponse, Buffer(body))
            answer.ResponseHeader.ServiceResult.check()
            status = int(answer.Results[0].StatusCode.value)
        if status & 0x8000_0000 and status & 0xFFFF_0000 != REFRESH_IN_PROGRESS:
            return Quality(Grade.BAD, "config_error", f"no alarms: {name_of(status)}")
        return None
