"""Another configuration while alarms run: what the rules of the new one begin with.

Invariants: an alarm that both configurations have goes on where it was, as over a restart; what both measure the same
way goes on without a gap; what is known of the polls that go on is known to the new rules before anything is
read again. Decides nothing and tells nothing: that is `engine`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.clock import Now
    from agent.rules.state import Rules
    from config.model import Config
    from drivers.contract import Poll, Reading


@dataclass(frozen=True, slots=True)
class NewConfiguration:
    """`config` counts from now on. `kept` are the polls that go on; `stored` is the state that the journal keeps."""

    config: Config
    kept: frozenset[Poll]
    stored: Mapping[str, bytes]

    @property
    def kept_devices(self) -> frozenset[str]:
        return frozenset(poll.device.id for poll in self.kept)


def successor(rules: Rules, item: NewConfiguration, now: Now) -> Rules:
    """The rules of the new configuration, with everything that these know and count."""
    made = rules.build(item.config, rules.present(item.stored, now))
    made.judges.go_on(rules.judges, item.kept_devices)
    made.order, made.load, made.offset = rules.order, rules.load, rules.offset
    return made


def latest(rules: Rules, item: NewConfiguration) -> list[Reading]:
    """What is known of each poll that goes on, as if all of it had changed when it was last confirmed."""
    watches = (watch for poll, watch in rules.watches.items() if poll in item.kept)
    return [_confirmed(watch.latest, watch.heard) for watch in watches if watch.latest is not None]


def _confirmed(reading: Reading, heard: float) -> Reading:
    since_s = heard - reading.mono
    return replace(reading, time=reading.time + since_s, mono=heard, changed=((0, len(reading.values)),))
