"""What is handed on: a bundle says what it is made of, and holds nothing else."""

from __future__ import annotations

import pytest
from bill_of_materials import left_out, required
from booted_machine import BUNDLES, bundle
from packaging.utils import parse_wheel_filename


@pytest.mark.skipif(not BUNDLES.exists(), reason="nothing to look at: make bundle")
def test_9_the_bundle_names_every_library_with_its_version_and_licence() -> None:
    """In its bill of materials and in its list of licences; its wheels are those of its list and no others."""
    names = ("requirements.lock", "wardgate.cdx.json", "LICENCES.md")
    lock, bill, licences = ((bundle() / name).read_text(encoding="utf-8") for name in names)
    assert left_out(lock, bill, licences) == []
    wheels = {parse_wheel_filename(wheel.name)[:2] for wheel in (bundle() / "wheels").iterdir()}
    assert {(name, str(version)) for name, version in wheels} == required(lock)
