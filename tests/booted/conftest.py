"""One machine for each file: Debian with a real systemd. `make test-systemd` prepares what it takes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from booted_machine import BUNDLES, DEBIAN, Machine, booted, bundle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if not (DEBIAN / ".complete").exists() or not BUNDLES.exists():
        pytest.skip("no Debian to boot, or nothing to install: make test-systemd")
    shared = tmp_path_factory.mktemp("shared")
    shutil.copytree(bundle(), shared / bundle().name)
    with booted(shared) as machine:
        yield machine
