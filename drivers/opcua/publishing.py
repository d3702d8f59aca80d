"""Listening to all subscriptions of one session: publish requests out, notifications in, in their order.

Nothing is dropped in silence: a gap in the sequence of notifications ends the connection, so that everything is asked
for anew. A few publish requests wait at the server at any time, so a slow consumer slows down only itself.

A frozen server is found by what does not arrive: a subscription that is silent for two keep-alive periods and the
line's timeout is given up, whatever its neighbours say. Only time spent listening counts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from drivers.errors import Unreachable
from drivers.opcua import decode, library, requests
from drivers.opcua.faults import GARBLED, name_of, of_status, translated
from drivers.opcua.walk import Unknown

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from drivers.opcua.session import Session
    from drivers.opcua.subscription import Subscription

PROBE_S = 4.0
"""A server that grants keep-alives less often than this is asked for a sign of life in between."""
GRACE_S = 0.25
"""After a timeout: answers that had arrived while this process was busy are taken first."""

BAD_TOO_MANY_PUBLISH_REQUESTS = 0x8078_0000
NOTHING = decode.Publication(0)


class _Voice:
    """What one subscription has said. `heard_s` is on the scale of the time spent listening."""

    def __init__(self, keep_alive_s: float, timeout_s: float) -> None:
        self.keep_alive_s = keep_alive_s
        self.silence_s = 2 * keep_alive_s + timeout_s
        self.heard_s = 0.0
        self.expected: int | None = None


class Publisher:
    """After `start`, call `next` again and again; then `stop`.

    What only the library could decode, and what nobody could, is counted in `counts`.
    `due_s` is the longest time from one return of `next` to the following one, while the server lives.
    """

    def __init__(
        self, session: Session, subscriptions: Sequence[Subscription], timeout_s: float, counts: Counter[str]
    ) -> None:
        self._counts = counts
        self.due_s = min([PROBE_S, *(each.keep_alive_s for each in subscriptions)])
        self._session = session
        self._voices = {each.number: _Voice(each.keep_alive_s, timeout_s) for each in subscriptions}
        self._listened_s = 0.0
        self._taken: list[tuple[int, int]] = []
        self._waiting: set[asyncio.Task[bytes]] = set()
        self._arrived: deque[asyncio.Task[bytes]] = deque()
        self._news = asyncio.Event()

    def start(self) -> None:
        """Ask for the first notifications: one for each subscription and one more, so that none waits for another."""
        for _ in range(len(self._voices) + 1):
            self._ask()

    async def next(self) -> decode.Publication:
        """The next notification or keep-alive. Raises `DriverError`: the subscriptions are of no use any more."""
        if not self._arrived and not self._waiting:
            raise Unreachable(self._session.endpoint, "the subscription has ended")
        if not self._arrived and not await self._hear():
            await self._session.probe("asking whether the server lives")
            return NOTHING
        answer = self._arrived.popleft()
        if self._waiting and _too_many(answer):
            return NOTHING  # it bears fewer of these requests, and has some
        publication = self._checked(answer.result())
        self._ask()
        return publication

    async def _hear(self) -> bool:
        """Wait for an answer. False: none is due yet, but so rarely that the server must be asked. Raises when late."""
        late = min(self._voices.values(), key=self._left_s)
        left_s = self._left_s(late)
        rare = self.due_s >= PROBE_S and left_s > PROBE_S
        if await self._wait(PROBE_S if rare else max(0.0, left_s)):
            return True
        if rare:
            return False
        if await self._wait(GRACE_S):
            return True
        raise Unreachable(
            self._session.endpoint,
            f"no sign of life for {late.silence_s:g} s, although one is due every {late.keep_alive_s:g} s",
            "see whether the server hangs",
        )

    def _left_s(self, voice: _Voice) -> float:
        return voice.heard_s + voice.silence_s - self._listened_s

    async def _wait(self, timeout_s: float) -> bool:
        """Whether an answer arrived in time; the time counts as spent listening."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._news.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return bool(self._arrived)
        finally:
            self._listened_s += loop.time() - began
        return True

    def _checked(self, body: bytes) -> decode.Publication:
        endpoint, doing = self._session.endpoint, "waiting for changes"
        with translated(endpoint, doing):
            publication = self._decoded(body)
        if publication.result & 0x8000_0000:
            raise of_status(endpoint, doing, publication.result)
        voice = self._voices.get(publication.subscription)
        if voice is None:
            raise Unreachable(endpoint, f"a notification of foreign subscription {publication.subscription}")
        if publication.status is not None:
            raise Unreachable(endpoint, f"the server ended the subscription: {name_of(publication.status)}")
        voice.heard_s = self._listened_s
        if not publication.keep_alive:
            self._count(voice, publication)
        return publication

    def _decoded(self, body: bytes) -> decode.Publication:
        """By our decoder; by the library's where that does not know, never where it says that the bytes are wrong."""
        try:
            try:
                return decode.publication(body)
            except Unknown:
                self._counts["by_library"] += 1
                return library.publication(body)
        except GARBLED:
            self._counts["undecodable"] += 1
            raise

    def _count(self, voice: _Voice, publication: decode.Publication) -> None:
        number = publication.number
        if voice.expected is not None and number != voice.expected:
            missing = f"notification {voice.expected} is missing, {number} came instead"
            raise Unreachable(self._session.endpoint, missing, "values may have been lost: all are asked for anew")
        voice.expected = number % 0xFFFF_FFFF + 1
        self._taken.append((publication.subscription, number))

    def _ask(self) -> None:
        taken, self._taken = self._taken, []
        asking = self._session.send(requests.publish(taken), "waiting for changes", wait_s=0)
        answer = asyncio.create_task(asking, name=f"opcua publish {self._session.endpoint}")
        self._waiting.add(answer)
        answer.add_done_callback(self._answered)

    def _answered(self, answer: asyncio.Task[bytes]) -> None:
        self._waiting.discard(answer)
        if answer.cancelled():
            return
        answer.exception()  # looked at here: nobody may be listening any more when the connection ends
        self._arrived.append(answer)
        self._news.set()

    def stop(self) -> None:
        """Listen no more. The server's side ends with the session."""
        for answer in tuple(self._waiting):
            answer.cancel()
        self._arrived.clear()


def _too_many(answer: asyncio.Task[bytes]) -> bool:
    error = answer.exception()
    return error is not None and getattr(error.__cause__, "code", 0) == BAD_TOO_MANY_PUBLISH_REQUESTS
