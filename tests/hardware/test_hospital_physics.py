"""The physics: pure, seeded, coupled."""

from __future__ import annotations

import math

import pytest
from hardware_mocks.hospital import ACTS, DEVICES, STORIES, Act, Hospital
from hardware_mocks.layout import PLACES


def history(hospital: Hospital, device: str, point: str, seconds: int) -> list[object]:
    """The point at every whole second."""
    values: list[object] = []
    for second in range(seconds):
        hospital.step(float(second))
        values.append(hospital.points(device)[point])
    return values


def test_same_seed_and_acts_give_the_same_state_whatever_the_steps() -> None:
    """One hospital goes in one leap, the other in uneven steps; all their values are equal."""
    leap, walk = Hospital(7, "demo"), Hospital(7, "demo")
    leap.step(21.3)
    for n in range(1, 214):
        walk.step(n / 10 + 0.003 * (n % 7))
    walk.step(21.3)
    assert {name: leap.points(name) for name in DEVICES} == {name: walk.points(name) for name in DEVICES}


def test_another_seed_gives_other_values() -> None:
    """The noise depends on the seed."""
    one, other = Hospital(1), Hospital(2)
    one.step(5.0)
    other.step(5.0)
    assert one.points("lv-main") != other.points("lv-main")


def test_every_device_of_the_layout_has_physics() -> None:
    """What is served and what is simulated are the same devices."""
    assert DEVICES.keys() == PLACES.keys()


def test_a_quiet_hospital_is_healthy_and_moves() -> None:
    """Without acts no device is in trouble for an hour, and values change."""
    hospital = Hospital(3)
    seen = set()
    for minute in range(60):
        hospital.step(minute * 60.0)
        meter, room = hospital.points("lv-main"), hospital.points("or-1")
        assert 209 < float(meter["u_an"] or 0) < 231
        assert 5 < float(room["dp"] or 0) < 20
        assert float(room["o2_p"] or 0) > 400
        assert not any(hospital.points("fire-panel").values())
        assert hospital.points("chiller-1")["mode"] == 3
        seen.add(meter["p"])
    assert len(seen) == 60


def test_mains_failure_starts_the_generator_and_it_carries_the_load() -> None:
    """Cranking after three seconds, load after eight, and the mains meter sees nothing of it."""
    hospital = Hospital(1)
    hospital.schedule(Act(10.0, "mains_fail"))
    states = history(hospital, "gen-1", "state", 20)
    assert states[11] == 0
    assert states[13] == 1
    assert states[15] == 2
    assert states[19] == 3
    assert float(hospital.points("gen-1")["p"] or 0) > 50
    assert hospital.points("lv-main")["u_an"] == 0.0
    assert hospital.points("lv-main")["f"] is None


def test_ups_bridges_the_gap_and_returns_online() -> None:
    """On battery from the failure until the generator has fed it for a second; its runtime falls meanwhile."""
    hospital = Hospital(1)
    hospital.schedule(Act(2.0, "mains_fail"))
    on_battery = history(hospital, "ups-1", "battery", 15)
    assert on_battery[:2] == [False, False]
    assert all(on_battery[3:11])
    assert on_battery[12:] == [False, False, False]
    other = Hospital(1)
    other.schedule(Act(2.0, "mains_fail"))
    runtimes = history(other, "ups-1", "bat_runtime", 10)
    assert runtimes[3:] == sorted(runtimes[3:], reverse=True)  # type: ignore[type-var]  # numbers, by the map


def test_mains_return_stops_the_generator() -> None:
    """The set hands back, cools down and stands."""
    hospital = Hospital(1)
    hospital.schedule(Act(1.0, "mains_fail"))
    hospital.schedule(Act(20.0, "mains_return"))
    hospital.step(30.0)
    generator = hospital.points("gen-1")
    assert generator["state"] == 0
    assert not generator["brk_closed"]
    assert float(hospital.points("lv-main")["u_an"] or 0) > 200


def test_a_blocked_generator_fails_to_start_until_it_is_reset() -> None:
    """It cranks in vain, says so, and everything behind it stays dark."""
    hospital = Hospital(1)
    hospital.schedule(Act(1.0, "generator_block"))
    hospital.schedule(Act(2.0, "mains_fail"))
    hospital.step(12.0)
    assert hospital.points("gen-1")["start_fail"]
    assert hospital.points("ups-1")["battery"]
    assert not hospital.points("lift-1")["power"]
    hospital.schedule(Act(13.0, "generator_reset"))
    hospital.step(25.0)
    assert not hospital.points("gen-1")["start_fail"]
    assert hospital.points("lift-1")["power"]


def test_chiller_trips_with_its_supply_and_restarts_by_itself() -> None:
    """Fault while dark, then starting, then running; the water warms and cools again."""
    hospital = Hospital(1)
    hospital.schedule(Act(2.0, "mains_fail"))
    modes = history(hospital, "chiller-1", "mode", 24)
    assert [modes[0], modes[5], modes[14], modes[23]] == [3, 5, 2, 3]


def test_fire_in_zone_3_stops_the_air_and_recalls_the_lift() -> None:
    """Panel, air handler and lift tell the same story, and all return after the reset."""
    hospital = Hospital(1)
    hospital.schedule(Act(1.0, "fire"))
    hospital.step(20.0)
    panel, ahu, lift = (hospital.points(name) for name in ("fire-panel", "ahu-1", "lift-1"))
    assert (panel["fire"], panel["zone_3"], panel["zone_4"], panel["zones_in_alarm"]) == (True, True, False, 1)
    assert (ahu["smoke"], ahu["run"]) == (True, False)
    assert float(ahu["p_duct"] or 0) < 1.0
    assert (lift["mode"], lift["floor_no"], lift["door_car"]) == (10, 1, 5)
    hospital.schedule(Act(21.0, "fire_reset"))
    hospital.step(30.0)
    assert not any(hospital.points("fire-panel").values())
    assert hospital.points("ahu-1")["run"]
    assert hospital.points("lift-1")["mode"] == 1


def test_fire_elsewhere_leaves_the_air_handler_running() -> None:
    """The unit serves zone 3 only."""
    hospital = Hospital(1)
    hospital.schedule(Act(1.0, "fire", zone=5))
    hospital.step(5.0)
    assert hospital.points("fire-panel")["zone_5"]
    assert hospital.points("ahu-1")["run"]


def test_lift_goes_to_emergency_power_and_back() -> None:
    """Without supply it stands where it is; the generator brings it to the first landing; then normal service."""
    hospital = Hospital(1)
    hospital.schedule(Act(2.0, "mains_fail"))
    hospital.step(5.0)
    assert (hospital.points("lift-1")["power"], hospital.points("lift-1")["speed"]) == (False, 0.0)
    hospital.step(11.0)
    assert hospital.points("lift-1")["mode"] == 7
    hospital.schedule(Act(40.0, "mains_return"))
    hospital.step(45.0)
    assert hospital.points("lift-1")["mode"] == 1


def test_the_demo_raises_and_clears_within_thirty_seconds() -> None:
    """Every condition that the story causes is there in its middle and gone at its end."""
    hospital = Hospital(1, "demo")
    hospital.step(20.5)
    assert hospital.points("lv-main")["u_an"] == 0.0
    assert hospital.points("fire-panel")["fire"]
    assert hospital.points("or-1")["gas_alarm"]
    assert float(hospital.points("or-1")["o2_p"] or 0) < 320
    hospital.step(30.0)
    assert float(hospital.points("lv-main")["u_an"] or 0) > 209
    assert not hospital.points("fire-panel")["fire"]
    assert not hospital.points("or-1")["gas_alarm"]
    assert float(hospital.points("or-1")["o2_p"] or 0) > 340
    assert hospital.points("gen-1")["state"] == 0
    assert not hospital.points("ups-1")["battery"]


@pytest.mark.parametrize("name", sorted(ACTS))
def test_every_act_can_happen_alone(name: str) -> None:
    """No act depends on another having happened, and no value becomes something else than finite or missing."""
    hospital = Hospital(1)
    hospital.schedule(Act(1.0, name))
    hospital.step(6.0)
    for device in DEVICES:
        assert all(value is None or math.isfinite(value) for value in hospital.points(device).values())


def test_unknown_acts_and_zones_are_refused() -> None:
    """The message says what there is."""
    hospital = Hospital(1)
    with pytest.raises(ValueError, match="there are air_fresh"):
        hospital.schedule(Act(1.0, "earthquake"))
    with pytest.raises(ValueError, match="zones 1 to 8, not 9"):
        hospital.schedule(Act(1.0, "fire", zone=9))
    with pytest.raises(ValueError, match="no story"):
        hospital.play("opera", 0.0)


def test_a_story_can_be_played_later() -> None:
    """Its seconds count from where it begins."""
    hospital = Hospital(1)
    hospital.play("demo", 100.0)
    hospital.step(103.0)
    assert hospital.points("lv-main")["u_an"] != 0.0
    hospital.step(105.0)
    assert hospital.points("lv-main")["u_an"] == 0.0


def test_stories_name_only_acts_that_exist() -> None:
    """A story is data; nothing else would notice a misspelt act."""
    assert {act.name for story in STORIES.values() for act in story} <= ACTS.keys()
