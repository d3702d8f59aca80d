"""How long to wait before the next attempt, and whether somebody else goes by our client id. No clock, no I/O.

Two gateways with one client id throw each other out for ever if both come back at once. MQTT 5 has a word for it, which
mosquitto 2.0.11 does not say, and 3.1.1 has none: then it is concluded from sessions that the broker accepts and soon
ends, several in a row. From there on the waits grow, and stay long until a session has lasted.
"""

from __future__ import annotations

import random

from agent.uplink.problems import Ended, Problem, Refused, Taken, taken_silently

RETRY_S_MIN = 0.5
RETRY_S_MAX = 10.0
REFUSED_S_MIN = 5.0
REFUSED_S_MAX = 60.0
TAKEN_S_MIN = 5.0
TAKEN_S_MAX = 300.0

STABLE_S = 10.0
"""A session that lasted this long was a good one: after it, the first waits are short again."""

PEACE_S = 900.0
"""A session that lasted this long has the client id for itself: longer than the longest wait of the other one."""

SHORT_S = 20.0
SHORT_SESSIONS_MAX = 5
"""So many sessions in a row, each ended by the broker within `SHORT_S`, with the broker there all the time."""

_DOUBLINGS_MAX = 10


class Patience:
    """`conflict` is set once somebody else seems to use our client id, until a session has lasted."""

    def __init__(self, client_id: str) -> None:
        self.conflict: Taken | None = None
        self._client_id = client_id
        self._failures = 0
        self._takeovers = 0
        self._short = 0

    def judge(self, problem: Problem, lasted_s: float | None) -> Problem:
        """What the end of a session really is; `lasted_s` is None where there was none."""
        if lasted_s is None:
            self._short = 0  # who takes a client id over leaves the broker where it is
            return problem
        self._forget(lasted_s)
        if isinstance(problem, Ended):
            self._short += lasted_s < SHORT_S
            if self.conflict is not None or self._short >= SHORT_SESSIONS_MAX:
                problem = taken_silently(self._client_id)
        if isinstance(problem, Taken):
            self.conflict = problem
        return problem

    def next_s(self, problem: Problem) -> float:
        """How long to wait after it: twice as long each time, with jitter, from a floor that depends on what it is."""
        if isinstance(problem, Taken):
            low, high, count = TAKEN_S_MIN, TAKEN_S_MAX, self._takeovers
            self._takeovers += 1
        else:
            is_refused = isinstance(problem, Refused)
            low, high = (REFUSED_S_MIN, REFUSED_S_MAX) if is_refused else (RETRY_S_MIN, RETRY_S_MAX)
            count = self._failures
            self._failures += 1
        spread: float = random.uniform(0.5, 1.0)  # noqa: S311  # keeps gateways apart in time, keeps no secret
        return spread * min(high, low * 2.0 ** min(count, _DOUBLINGS_MAX))

    def conflict_after(self, lasted_s: float | None) -> Taken | None:
        """The same, while a session has lasted so long."""
        return None if lasted_s is not None and lasted_s > PEACE_S else self.conflict

    def _forget(self, lasted_s: float) -> None:
        if lasted_s > STABLE_S:
            self._failures = 0
        if lasted_s > PEACE_S:
            self.conflict = None
            self._takeovers = self._short = 0
