"""How many connections come in, and how slow they may be.

Always true: at most `Limits.connections` are open, `Limits.per_source` of them from one source, those that still
negotiate TLS included; one whose peer does not read for `Limits.write_s` what it asked for is cut.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all of them, may take. A connection without a whole request for `idle_s` is closed."""

    connections: int = 64
    per_source: int = 16
    handshake_s: float = 10.0
    idle_s: float = 30.0
    body_s: float = 10.0
    write_s: float = 30.0


class Gate:
    """Counts who is inside."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._inside: Counter[str] = Counter()

    def enter(self, source: str) -> bool:
        """Whether there is room; who enters has to leave."""
        if self._inside.total() >= self._limits.connections or self._inside[source] >= self._limits.per_source:
            return False
        self._inside[source] += 1
        return True

    def leave(self, source: str) -> None:
        self._inside[source] -= 1
        if not self._inside[source]:
            del self._inside[source]


class Guarded(asyncio.Protocol):
    """Another protocol, which is cut off where its peer does not read; `gone` is called once when it is over."""

    def __init__(self, inner: asyncio.Protocol, write_s: float, gone: Callable[[], None]) -> None:
        self._inner = inner
        self._write_s = write_s
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._cut: asyncio.TimerHandle | None = None
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is no subclass
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        assert self._transport is not None, "only a connection that was made can be full"
        self._cut = asyncio.get_running_loop().call_later(self._write_s, self._transport.abort)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._release()
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        self._inner.connection_lost(exc)
        self._end()

    def settle(self) -> None:
        """The negotiation is over: whoever did not get through it is gone."""
        if self._transport is None:
            self._end()

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._gone()

    def _release(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
