"""Why a session that works is ended all the same: a better broker is back, or the certificates were renewed.

Always true:
- A working session is not given up for a broker that does not accept us: it is asked first, in a session of its own.
- A broker that comes and goes is asked ever more rarely: the time between two questions doubles up to `HOME_S_MAX`.
- Renewed files are used only once they fit together: until then the session goes on, and `unusable` says why.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.uplink.certificates import fingerprint_of, load
from agent.uplink.problems import Problem, Refused
from agent.uplink.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.uplink.session import Login
    from config.outward import Broker

LOOK_S = 5.0
"""How often the files of the certificates are looked at."""

HOME_S_MIN = 60.0
HOME_S_MAX = 3600.0
HOME_S_STAYED = 600.0
"""A session this long with the first broker makes the next return quick again."""


class Mover:
    """One for an uplink, over all its sessions."""

    def __init__(self) -> None:
        self.unusable: Refused | None = None
        self.asking = False
        """True from the question to a better broker on, until it said no: one of a cluster takes our session over."""
        self._home_s = HOME_S_MIN

    async def reason(self, session: Session, login: Login, better: Sequence[Broker]) -> str:
        """Wait until there is one to end this session, and say it."""
        loop = asyncio.get_running_loop()
        home_due = loop.time() + self._home_s
        while True:
            await asyncio.sleep(LOOK_S)
            if self._renewed(session, login):
                return "certificates were renewed"
            if better and loop.time() >= home_due:
                self.asking = True
                self._home_s = min(HOME_S_MAX, self._home_s * 2)
                for broker in better:
                    if await accepts(broker, login):
                        return f"{broker.host}:{broker.port} is back"
                self.asking = False
                home_due = loop.time() + self._home_s

    def rest(self) -> None:
        """There is no session any more: nothing to move, nothing to warn of."""
        self.unusable, self.asking = None, False

    def ended(self, lasted_s: float, *, at_home: bool) -> None:
        """A session with the first broker (`at_home`) or another one is over."""
        if at_home and lasted_s > HOME_S_STAYED:
            self._home_s = HOME_S_MIN

    def _renewed(self, session: Session, login: Login) -> bool:
        """Whether there are other files than those that the session was opened with, and they can be used."""
        used = session.credentials
        if used is None or fingerprint_of(login.tls) == used.fingerprint:
            self.unusable = None
            return False
        try:
            load(login.tls)
        except Refused as refused:
            self.unusable = refused
            return False
        return True


async def accepts(broker: Broker, login: Login) -> bool:
    """Whether a broker would take us now. Without a will: nobody hears of it."""
    session = Session(broker, login, None, asyncio.Event())
    try:
        await session.open()
    except Problem:
        return False
    finally:
        session.close(politely=True)
    return True
