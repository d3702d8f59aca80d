"""The hospital's physics: one seeded simulation in which everything hangs together.

Pure: time comes in through `step`, in seconds since the hospital began. Two hospitals with the same seed and the same
acts are in the same state at the same time, whatever the steps in between; so each protocol's process runs its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from hardware_mocks import annex
from hardware_mocks.building import AirMonitor, ColdStore, GasBox, GasDetector, Pump, Transformer
from hardware_mocks.climate import AirHandler, Chiller, OperatingRoom
from hardware_mocks.fire import ZONES, FirePanel
from hardware_mocks.lift import Lift
from hardware_mocks.power import Power, Source
from hardware_mocks.signals import Noise, Points

TICK_S = 0.05
AHU_ZONE = 3


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """Something that happens to the hospital, `at` seconds after it began. `zone` matters to `fire` only."""

    at: float
    name: str
    zone: int = AHU_ZONE


Story = tuple[Act, ...]

STORIES: dict[str, Story] = {
    "quiet": (),
    "demo": (
        Act(4.0, "mains_fail"),  # the generator carries the load from second 12 on
        Act(15.0, "fire"),
        Act(18.0, "oxygen_low"),
        Act(23.0, "fire_reset"),
        Act(24.0, "mains_return"),
        Act(26.0, "oxygen_ok"),
    ),
}
"""Scripts by name. The demo's raises alarms on all three protocols and clears them within thirty seconds."""


class Hospital:
    """Coupled devices. `points(device)` gives the values as of the last `step`."""

    def __init__(self, seed: int, story: str = "quiet") -> None:
        self.noise = Noise(seed)
        self.power = Power()
        self.chiller = Chiller()
        self.ahu = AirHandler()
        self.room = OperatingRoom()
        self.lift = Lift()
        self.panel = FirePanel()
        self.transformer = Transformer()
        self.pump = Pump()
        self.gas_box = GasBox()
        self.gas_detector = GasDetector()
        self.cold_store = ColdStore()
        self.air = AirMonitor()
        self._ticks = 0
        self._due: list[Act] = list(STORIES[story])

    @property
    def t(self) -> float:
        return self._ticks * TICK_S

    def schedule(self, act: Act) -> None:
        """Let `act` happen at its time, or at the next tick where that is past. Raises `ValueError` if unknown."""
        if act.name not in ACTS:
            raise ValueError(f"no act {act.name!r}; there are {', '.join(sorted(ACTS))}")
        if act.zone not in ZONES:
            raise ValueError(f"the panel has zones {ZONES[0]} to {ZONES[-1]}, not {act.zone}")
        heapq.heappush(self._due, act)

    def play(self, story: str, start: float) -> None:
        """Schedule a whole story, its seconds counted from `start`. Raises `ValueError` if unknown."""
        if story not in STORIES:
            raise ValueError(f"no story {story!r}; there are {', '.join(STORIES)}")
        for act in STORIES[story]:
            self.schedule(Act(start + act.at, act.name, act.zone))

    def step(self, t: float) -> bool:
        """Go on to `t` in whole ticks. Says whether anything moved."""
        last = int(t / TICK_S + 1e-6)
        moved = last > self._ticks
        while self._ticks < last:
            self._ticks += 1
            self._tick()
        return moved

    def _tick(self) -> None:
        while self._due and self._due[0].at <= self.t:
            act = heapq.heappop(self._due)
            ACTS[act.name](self, act)
        self.power.step(TICK_S, self.chiller.input_kw, self.t)
        fed = self.power.fed
        fire = bool(self.panel.zones)
        emergency = self.power.source is Source.GENERATOR
        self.panel.step(self.power.dead_s)
        self.chiller.step(TICK_S, fed)
        self.ahu.step(TICK_S, fed, smoke=AHU_ZONE in self.panel.zones)
        self.room.step(TICK_S, fed)
        self.lift.step(TICK_S, self.noise, fed, emergency, fire)
        self._step_building(fed)

    def _step_building(self, fed: bool) -> None:
        self.transformer.step(TICK_S, fed)
        self.pump.step(TICK_S, fed)
        self.gas_box.step(TICK_S)
        self.gas_detector.step(TICK_S)
        self.cold_store.step(TICK_S, fed)
        self.air.step(TICK_S)

    def points(self, device: str) -> Points:
        return DEVICES[device](self)


DEVICES: dict[str, Callable[[Hospital], Points]] = {
    "lv-main": lambda h: h.power.meter(h.noise, h.t, h.chiller.input_kw),
    "gen-1": lambda h: h.power.generator.points(h.noise, h.t),
    "ups-1": lambda h: h.power.ups.points(h.noise, h.t, h.power.busbar_v(h.noise, h.t)),
    "fire-panel": lambda h: h.panel.points(),
    "tx-1": lambda h: h.transformer.points(h.noise, h.t),
    "pump-1": lambda h: h.pump.points(h.noise, h.t),
    "medgas-1": lambda h: h.gas_box.points(h.noise, h.t),
    "gas-1": lambda h: h.gas_detector.points(h.noise, h.t),
    "cold-1": lambda h: h.cold_store.points(h.noise, h.t),
    "air-1": lambda h: h.air.points(h.noise, h.t),
    "chiller-1": lambda h: h.chiller.points(h.noise, h.t),
    "ahu-1": lambda h: h.ahu.points(h.noise, h.t, h.chiller.supply_c),
    "lift-1": lambda h: h.lift.points(),
    "or-1": lambda h: h.room.points(h.noise, h.t, h.power.ups.on_battery),
    **{f"lv-{n}": annex.meter for n in range(2, 6)},
    "gen-2": annex.genset,
    "gen-3": annex.genset,
    "ups-2": annex.ups,
    "contacts-1": annex.contacts,
    "contacts-2": annex.contacts,
    "or-2": annex.room,
    "lift-2": annex.lift,
    "vav-1": annex.vav,
    "fire-bas": annex.detectors,
    "lift-3": annex.standard_lift,
    "esc-1": annex.escalator,
}


Deed = Callable[[Hospital, Act], None]


def _switch(part: str, name: str, value: bool) -> Deed:
    return lambda hospital, _: setattr(getattr(hospital, part), name, value)


ACTS: dict[str, Deed] = {
    "mains_fail": _switch("power", "mains", value=False),
    "mains_return": _switch("power", "mains", value=True),
    "generator_block": lambda h, _: h.power.generator.block(),
    "generator_reset": lambda h, _: h.power.generator.reset(),
    "fire": lambda h, act: h.panel.raise_zone(act.zone),
    "fire_reset": lambda h, _: h.panel.reset(),
    "oxygen_low": _switch("room", "oxygen_short", value=True),
    "oxygen_ok": _switch("room", "oxygen_short", value=False),
    "room_leak": _switch("room", "leaking", value=True),
    "room_tight": _switch("room", "leaking", value=False),
    "earth_fault": _switch("room", "earth_fault", value=True),
    "earth_ok": _switch("room", "earth_fault", value=False),
    "chiller_trip": _switch("chiller", "tripped", value=True),
    "chiller_reset": _switch("chiller", "tripped", value=False),
    "lift_entrap": _switch("lift", "trapped", value=True),
    "lift_free": _switch("lift", "trapped", value=False),
    "transformer_hot": _switch("transformer", "overheating", value=True),
    "transformer_cool": _switch("transformer", "overheating", value=False),
    "pump_dry": _switch("pump", "dry", value=True),
    "pump_wet": _switch("pump", "dry", value=False),
    "gas_low": _switch("gas_box", "short", value=True),
    "gas_ok": _switch("gas_box", "short", value=False),
    "gas_leak": _switch("gas_detector", "leaking", value=True),
    "gas_tight": _switch("gas_detector", "leaking", value=False),
    "cold_open": _switch("cold_store", "door", value=True),
    "cold_shut": _switch("cold_store", "door", value=False),
    "air_stale": _switch("air", "crowded", value=True),
    "air_fresh": _switch("air", "crowded", value=False),
}
"""Everything that may be done to the hospital, by the name that stories and the control socket use."""
