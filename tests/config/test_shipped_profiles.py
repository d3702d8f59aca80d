"""The device profiles that ship, of all protocols: what each must say beside its rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from profile_cases import device_by

from config.folder import SHIPPED_PROFILES, shipped_profiles

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Device

PROFILES = shipped_profiles()
LINES = {
    "modbus": "{protocol: modbus, host: 127.0.0.1, timeout: 3s}",
    "bacnet": "{protocol: bacnet, bind: '127.0.0.1/32:47900'}",
    "opcua": "{protocol: opcua, url: 'opc.tcp://127.0.0.1:4840'}",
}
ORIGINS = ("maker", "ASHRAE", "secondary", "unverified", "simulated hospital", "template")
"""Where a row can come from, and how sure that is."""

SUGGESTED = re.compile(r"^# Suggested alarms: (\{pack: .+\})$", re.MULTILINE)
NO_PACK = re.compile(r"^# No alarm pack: \S", re.MULTILINE)
NO_PROOF = re.compile(r"^# No proof of the device: \S", re.MULTILINE)


def text_of(profile: str) -> str:
    return (SHIPPED_PROFILES / f"{profile}.yaml").read_text(encoding="utf-8")


def written(profile: str) -> dict[str, Any]:
    found = yaml.safe_load(text_of(profile))
    assert isinstance(found, dict)
    return found


def entered(profile: str, folder: Path, **fields: object) -> Device:
    """A device of the profile for which a site has entered what the profile leaves to it."""
    protocol, rows = written(profile)["protocol"], written(profile)["points"]
    if profile.startswith("template-"):
        fields["points"] = {name: {"register": 100 + 4 * at} for at, name in enumerate(rows)}
    elif protocol == "opcua":
        fields["points"] = {name: {"node": f"ns=2;s={name}"} for name in rows}
    elif protocol == "bacnet":
        fields["address"] = {"instance": 1, "at": "127.0.0.2"}
    fields.setdefault("system", written(profile).get("system", "env"))
    return device_by(profile, f"lines: {{l: {LINES[protocol]}}}\n", folder, **fields)


@pytest.mark.parametrize("profile", PROFILES)
def test_4_and_10_a_profile_proves_its_device_or_says_why_it_cannot(profile: str, tmp_path: Path) -> None:
    """By what it expects of it, or by function 43; only a template without a map may have a reason instead."""
    address = entered(profile, tmp_path).address
    proves = bool(getattr(address, "expect", ())) or getattr(address, "identification", None) is not None
    assert proves != bool(NO_PROOF.search(text_of(profile)))
    assert proves or profile.startswith("template-")


@pytest.mark.parametrize("profile", PROFILES)
def test_10_the_suggested_alarm_pack_is_valid_as_it_is_written(profile: str, tmp_path: Path) -> None:
    """Copied to the device it gives alarms; a profile without a pack says why."""
    suggested = SUGGESTED.search(text_of(profile))
    assert (suggested is None) == bool(NO_PACK.search(text_of(profile)))
    if suggested is not None:
        device = entered(profile, tmp_path, alarms=yaml.safe_load(suggested[1]))
        assert device.alarms


@pytest.mark.parametrize("profile", PROFILES)
def test_10_every_row_says_where_it_comes_from_and_how_sure_that_is(profile: str) -> None:
    """Its own source or the profile's, also where it only gives proof; what a device may lack has one of its own."""
    whole = written(profile)
    checks = whole.get("address", {}).get("expect", ())
    rows = [*whole["points"].values(), *checks]
    sources = [row.get("source", whole["source"]) for row in rows]
    assert [said for said in sources if not any(origin in said for origin in ORIGINS)] == []
    assert [check for check in checks if check.get("may_lack") and "source" not in check] == []
    assert [name for name, row in whole["points"].items() if not (row["name"]["zh"] and row["name"]["en"])] == []
