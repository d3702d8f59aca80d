"""How long an alarm can take at worst is worked out from the configuration, and told before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.accept import accept, plan
from agent.clock import ManualClock
from agent.latency import ANSWER_S, GATEWAY_S, latencies
from config.errors import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from agent.latency import Latency

UPLINK = "uplinks: {main: {brokers: [mqtt://127.0.0.1]}}\n"
METER = """
  {name}:
    line: one
    system: pwr.lv
    address: {{unit: {unit}}}
    points:
      u: {{register: 0, poll: {poll}}}
      i: {{register: {far}, poll: {poll}}}
    alarms:
      high: {{point: u, limit: {{H: 240}}, colour: {colour}{more}}}
"""


def meter(name: str = "m-1", unit: int = 1, poll: str = "C", far: int = 1, colour: str = "red", more: str = "") -> str:
    return METER.format(name=name, unit=unit, poll=poll, far=far, colour=colour, more=more)


def written(folder: Path, *devices: str, line: str = "protocol: modbus, host: 127.0.0.1, timeout: 2s") -> Path:
    (folder / "devices").mkdir()
    (folder / "gateway.yaml").write_text("site: h01\ngateway: gw-1\n" + UPLINK, encoding="utf-8")
    (folder / "lines.yaml").write_text(f"lines:\n  one: {{{line}}}\n", encoding="utf-8")
    (folder / "devices" / "all.yaml").write_text("devices:" + "".join(devices), encoding="utf-8")
    return folder


def found(folder: Path) -> dict[str, Latency]:
    config, drivers = plan(folder, ManualClock())
    return {f"{one.alarm.device}#{one.alarm.key}": one for one in latencies(config, drivers)}


def test_10_a_poll_and_its_answer_on_a_line_of_its_own(tmp_path: Path) -> None:
    """The value may change just after it was read: one interval, the answer, and what the gateway takes."""
    one = found(written(tmp_path, meter()))["m-1#high"]
    assert (one.budget_s, one.poll_s) == (5, 2)
    assert one.healthy_s == pytest.approx(2 + ANSWER_S + GATEWAY_S)
    assert one.lost_s == pytest.approx(one.healthy_s + 2 + 2)
    assert one.neighbour_s is None


def test_what_is_computed_comes_with_what_it_is_computed_from(tmp_path: Path) -> None:
    """An alarm on a derived point, or in an expression, is as late as the slowest point that is read for it."""
    device = """
  m-1:
    line: one
    system: pwr.lv
    address: {unit: 1}
    points:
      u: {register: 0, poll: 2s}
      i: {register: 100, poll: 30s}
      p: {derived: u * i}
      share: {derived: p / 400}
    alarms:
      high: {point: share, limit: {H: 1}, colour: blue}
      low: {expression: u < 200 && share > 0.1, colour: blue}
"""
    alarms = found(written(tmp_path, device))
    assert [one.poll_s for one in alarms.values()] == [30, 30]


def test_each_request_of_a_poll_takes_its_time(tmp_path: Path) -> None:
    """Points too far apart for one request cost another answer; so do the device's own manners."""
    one = found(written(tmp_path, meter(far=500)))["m-1#high"]
    assert one.healthy_s == pytest.approx(2 + 2 * ANSWER_S + GATEWAY_S)
    polite = meter(far=500).replace("{unit: 1}", "{unit: 1, gap: 300ms}")
    (tmp_path / "polite").mkdir()
    one = found(written(tmp_path / "polite", polite))["m-1#high"]
    assert one.healthy_s == pytest.approx(2 + 2 * (ANSWER_S + 0.3) + GATEWAY_S)


def test_a_serial_line_is_as_slow_as_its_bytes(tmp_path: Path) -> None:
    """At 1200 baud a hundred registers take two seconds, whatever the device."""
    line = "protocol: modbus, serial: /dev/serial/by-id/usb-1, baud: 1200"
    wide = meter().replace("i: {register: 1,", "i: {register: 99,").replace("{unit: 1}", "{unit: 1, max_gap: 124}")
    one = found(written(tmp_path, wide, line=line))["m-1#high"]
    assert 2 + 2.0 < one.healthy_s < 2 + 2.2 + GATEWAY_S


def test_neighbours_are_asked_first(tmp_path: Path) -> None:
    """On a line that asks one at a time, each other device may have its read before ours; a dead one its timeout."""
    devices = [meter(f"m-{n}", n) for n in (1, 2, 3)]
    one = found(written(tmp_path, *devices))["m-1#high"]
    assert one.healthy_s == pytest.approx(2 + 3 * ANSWER_S + GATEWAY_S)
    assert one.neighbour_s == pytest.approx(one.healthy_s + 2)
    (tmp_path / "wide").mkdir()
    line = "protocol: modbus, host: 127.0.0.1, concurrency: 3"
    one = found(written(tmp_path / "wide", *devices, line=line))["m-1#high"]
    assert one.healthy_s == pytest.approx(2 + ANSWER_S + GATEWAY_S)
    assert one.neighbour_s is None


def test_a_device_that_reports_by_itself(tmp_path: Path) -> None:
    """The server looks at the sampling interval and speaks at the publishing interval; polls do not matter."""
    device = """
  or-1:
    line: one
    system: or
    points: {p: {node: ns=2;s=p, poll: S, sampling: 300ms}}
    alarms: {low: {point: p, limit: {L: 320}, colour: red, life_safety: true}}
"""
    line = "protocol: opcua, url: 'opc.tcp://127.0.0.1:4840', publishing: 500ms"
    one = found(written(tmp_path, device, line=line))["or-1#low"]
    assert (one.budget_s, one.poll_s, one.lost_s, one.neighbour_s) == (2, None, None, None)
    assert one.healthy_s == pytest.approx(0.3 + 0.5 + GATEWAY_S)


def test_bacnet_asks_in_batches(tmp_path: Path) -> None:
    """Forty objects are two requests of twenty."""
    points = "".join(f"      p{n}: {{object: 'analog-input,{n}', poll: C}}\n" for n in range(40))
    device = f"""
  a-1:
    line: one
    system: hvac.ahu
    address: {{instance: 1, at: 127.0.0.2}}
    points:
{points}    alarms: {{high: {{point: p0, limit: {{H: 30}}, colour: yellow}}}}
"""
    line = "protocol: bacnet, bind: 127.0.0.1/32:47900"
    one = found(written(tmp_path, device, line=line))["a-1#high"]
    assert one.healthy_s == pytest.approx(2 + 2 * ANSWER_S + GATEWAY_S)
    assert one.budget_s == 10


def test_an_expression_is_as_slow_as_its_slowest_point(tmp_path: Path) -> None:
    """And what waits for time by itself is not in the table."""
    both = "both: {expression: 'u > 240.0 && i > 3.0', colour: red}"
    mean = "mean: {point: u, limit: {H: 240}, mean: 1h, colour: red"
    text = meter(more=f"}}\n      {both}\n      {mean}").replace("register: 1, poll: C", "register: 1, poll: 4s")
    table = found(written(tmp_path, text))
    assert set(table) == {"m-1#high", "m-1#both"}
    assert table["m-1#both"].healthy_s == pytest.approx(4 + 2 * ANSWER_S + GATEWAY_S)


def test_a_computed_point_is_as_slow_as_what_it_is_computed_from(tmp_path: Path) -> None:
    """However many steps it takes."""
    more = "}\n      sum: {point: twice, limit: {H: 900}, colour: red"
    text = meter(more=more).replace(
        "    alarms:", '      once: {derived: "u + i"}\n      twice: {derived: "once * 2"}\n    alarms:'
    )
    table = found(written(tmp_path, text.replace("register: 1, poll: C", "register: 1, poll: 4s")))
    assert table["m-1#sum"].healthy_s == pytest.approx(4 + 2 * ANSWER_S + GATEWAY_S)


def test_10_life_safety_that_cannot_be_in_time_is_refused(tmp_path: Path) -> None:
    """By `check` and by the daemon, at the point that is read too rarely."""
    folder = written(tmp_path, meter(more=", life_safety: true"))
    with pytest.raises(ConfigInvalid) as caught:
        accept(folder, ManualClock())
    assert str(caught.value) == (
        "devices/all.yaml:7:7: devices.m-1.points.u: life-safety alarm high can take 2.3 s, its budget is 2 s; "
        "poll its point faster (poll: L is once a second), or ask less of the line; see wardgate check --latency"
    )
    (tmp_path / "quick").mkdir()
    config, _ = accept(written(tmp_path / "quick", meter(poll="L", more=", life_safety: true")), ManualClock())
    assert config.warnings == ()


def test_10_any_other_alarm_that_is_late_is_a_warning(tmp_path: Path) -> None:
    """One for each device, and one for all that wait for longer than their budget by themselves: none is excused."""
    lazy = [meter(f"m-{n}", n, poll="N", more=", on_delay: 1min") for n in (2, 3)]
    config, _ = accept(written(tmp_path, meter(poll="N"), *lazy), ManualClock())
    told = [str(warning).partition(";")[0].partition(": devices.")[2] for warning in config.warnings]
    assert told == [
        "m-1: alarm high can take 10.5 s, its budget is 5 s",
        "m-2: alarm high can take 10.5 s, its budget is 5 s, beside its on_delay of 60 s (1 more)",
    ]


def test_10_a_dead_neighbour_is_a_warning(tmp_path: Path) -> None:
    """One for the line, with the alarm that would be latest, where the timeout is written."""
    devices = [meter(f"m-{n}", n, poll="L", more=", life_safety: true") for n in (1, 2)]
    config, _ = accept(written(tmp_path, *devices), ManualClock())
    (warning,) = config.warnings
    assert str(warning) == (
        "lines.yaml:2:53: lines.one.timeout: beside a device that does not answer, pwr.lv/m-1/u#high can take 3.4 s, "
        "its budget is 2 s (1 more); shorten timeout, raise concurrency where the line bears it, "
        "or give it a line of its own"
    )
