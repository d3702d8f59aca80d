"""Alarm rules: pure functions of readings, commands and time.

No clock, no I/O, no randomness below this line: `step(rules, item, now)` gives events, so the same code runs live,
in tests with a manual clock and over recorded input. `machine` is the table of the alarm states, `lanes` the conditions
with their deadband and delays, `judges` and `sources` those that are more than a present value, `gauges` and
`standstill` what these measure, `derived` and `figures` points that are computed, `cells` what all of them listen to,
`occurrence` one alarm's run through the table, `orders` what operators may do to it, `maintenance` to many of them,
`chatter` what comes and goes too often, `load` how many alarms people are called for. `state` is all of
them together, `steps` what happens to them, `engine` what follows, `succession` another configuration while they run.
"""

from agent.rules.commands import AlarmCommand, MaintenanceCommand, Refused
from agent.rules.engine import step
from agent.rules.state import Rules
from agent.rules.steps import DeviceChange, Step, Tick
from agent.rules.succession import NewConfiguration

__all__ = [
    "AlarmCommand",
    "DeviceChange",
    "MaintenanceCommand",
    "NewConfiguration",
    "Refused",
    "Rules",
    "Step",
    "Tick",
    "step",
]
