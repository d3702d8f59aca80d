"""The building systems that profiles and alarm packs know. Another name is allowed: it is only looked at for slips."""

from __future__ import annotations

SYSTEMS = (
    "boiler", "cold", "energy", "env", "esc", "fire", "fire.water", "gw", "hazchem", "hvac.ahu", "hvac.chl", "hvac.rm",
    "kitchen", "lift", "medgas.area", "medgas.src", "or", "pv", "pwr.ats", "pwr.efm", "pwr.gen", "pwr.it", "pwr.lv",
    "pwr.tx", "pwr.ups", "sec", "water",
)  # fmt: skip  # a word list is read across
