"""Two configurations compared: what is told of a change, and what makes no difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_toy import GATEWAY, accepted

from config.difference import Difference, FieldChange, differences
from config.outline import Kind, outline

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = """
devices:
  m-1:
    line: one
    system: pwr.lv
    points:
      u: {at: 1, unit: V, low: 0, high: 500}
      open: {at: 2, value: bool}
    alarms:
      high: {point: u, limit: {H: 240, HH: 260}, colour: {H: yellow, HH: red}, text: 电压高}
"""


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    return Compare(tmp_path)


class Compare:
    """Between a device file and another, or other files beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, device: str = DEVICE, **files: str) -> dict[Kind, Difference]:
        for name in ("old", "new"):
            (self.folder / name).mkdir()
        gateway = {"gateway": GATEWAY + f"state: {self.folder}\n"}
        before = outline(accepted(self.folder / "old", DEVICE, **gateway))
        after = outline(accepted(self.folder / "new", device, **gateway | files))
        return {each.kind: each for each in differences(before, after) if each}


def test_the_same_in_other_words_is_no_difference(compare: Compare) -> None:
    """Order, comments, defaults that are written out: nothing that runs changes by them."""
    other = DEVICE.replace(
        "      u: {at: 1, unit: V, low: 0, high: 500}\n      open: {at: 2, value: bool}\n",
        "      # The main switch.\n      open: {value: bool, at: 2, scale: 1.0}\n"
        "      u: {at: 1, unit: V, low: 0, high: 500.0, poll: 10s}\n",
    )
    assert other != DEVICE
    assert compare(other) == {}


def test_a_changed_limit_is_one_field_of_one_alarm(compare: Compare) -> None:
    """With what it was and what it becomes."""
    (found,) = compare(DEVICE.replace("HH: 260", "HH: 255")).values()
    change = FieldChange("condition.levels.HH.limit", "260", "255")
    assert found == Difference("alarm", (), (), {"pwr.lv/m-1/u#high": (change,)})


def test_a_field_that_was_not_written_has_no_text(compare: Compare) -> None:
    """Its default held before, or holds now."""
    (found,) = compare(DEVICE.replace("high: 500}", "high: 500, scale: 0.1}")).values()
    assert found.changed == {"m-1/u": (FieldChange("scale", None, "0.1"),)}


def test_what_only_the_driver_understands_is_compared(compare: Compare) -> None:
    """A register, an address, a host: each at what it belongs to."""
    device = DEVICE.replace("at: 2", "at: 3").replace("line: one", "line: one\n    address: {unit: 9}")
    found = compare(device, lines="lines:\n  one: {protocol: toy, host: 127.0.0.9, timeout: 1s}\n")
    assert found["point"].changed == {"m-1/open": (FieldChange("at", "2", "3"),)}
    assert found["device"].changed == {"m-1": (FieldChange("address.unit", None, "9"),)}
    host, timeout = found["line"].changed["one"]
    assert (host, timeout) == (FieldChange("host", "127.0.0.1", "127.0.0.9"), FieldChange("timeout_s", "2", "1"))


def test_a_new_device_brings_its_points_and_alarms(compare: Compare) -> None:
    """Also the alarm that it does not answer, which nobody wrote."""
    found = compare(
        DEVICE
        + DEVICE.replace("devices:\n", "")
        .replace("m-1", "m-2")
        .replace("line: one", "line: one\n    address: {unit: 2}")
    )
    assert found["device"].added == ("m-2",)
    assert found["point"].added == ("m-2/open", "m-2/u")
    assert "pwr.lv/m-2/u#high" in found["alarm"].added
    assert any("m-2" in name and name != "pwr.lv/m-2/u#high" for name in found["alarm"].added)
    assert not found["alarm"].removed


def test_what_is_gone_is_told(compare: Compare) -> None:
    """A point with its alarm."""
    text = DEVICE.partition("    alarms:")[0].replace("      u: {at: 1, unit: V, low: 0, high: 500}\n", "")
    found = compare(text)
    assert (found["point"].removed, found["alarm"].removed) == (("m-1/u",), ("pwr.lv/m-1/u#high",))
    assert not found["point"].changed


def test_confirming_a_limit_is_a_change(compare: Compare, tmp_path: Path) -> None:
    """An alarm that waited for it runs from then on."""
    waiting = DEVICE.replace("text: 电压高", "text: 电压高, depends_on: 额定电压")
    found = compare(waiting)["alarm"].changed["pwr.lv/m-1/u#high"]
    assert FieldChange("waits_for", None, "confirmation") in found


def test_a_secret_is_told_by_its_place(compare: Compare) -> None:
    """Never by what it is; an uplink is a part of the gateway with a name."""
    text = GATEWAY.replace("mqtt://127.0.0.1]", "mqtt://127.0.0.1], password: {env: PLATFORM}, user: gw")
    (found,) = compare(gateway=text + f"state: {compare.folder}\n").values()
    assert found.changed["uplink main"] == (
        FieldChange("password", None, "{env: PLATFORM}"),
        FieldChange("user", None, "gw"),
    )
