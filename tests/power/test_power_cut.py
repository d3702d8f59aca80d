"""Power cuts: a kernel, a file system and a disk with a cache of its own, all of which forget what was not synced.

`make test-power` runs this; it needs qemu and a kernel, which the target gets.
"""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from power_guest import LAG, STREAMS, digest, draft
from power_machine import Cut, Machine, System, boot, build, cut_somewhere, format_disk

ROUNDS = int(os.environ.get("POWER_ROUNDS", "8"))
BOOT_S_MAX = 60.0
WRITING_S = 6.0

BOOT = Path(__file__).parents[2] / "build" / "power"
CARELESS = ("buffer/database.py", "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF")


@dataclass
class Told:
    """What the machine had said before its power was cut: all that anybody may rely on."""

    done: int = 0
    settling: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    epochs: list[str] = field(default_factory=list)

    def hear(self, machine: Machine, cut: Cut) -> None:
        """A promise counts if it was given before the cut for sure, a permission if it may have been."""
        for (word, *rest), written in zip(machine.said, machine.written, strict=True):
            if word == "done" and written <= cut.end:
                self.done = rest[0]
            elif word == "settling":
                self.settling[rest[0]] = rest[1]
            elif word == "opened" and written <= cut.end:
                self.epochs = rest[0]["epochs"]


def faults(told: Told, found: dict[str, Any]) -> list[str]:
    """What the journal has after a power cut that it must not have, or has not although it was told to be on disk."""
    wrong = [f"incident: {found['incident']}"] if found["incident"] else []
    wrong += [f"{found['lost']} records counted as lost"] if found["lost"] else []
    if found["count"] < told.done:
        wrong.append(f"{told.done - found['count']} of {told.done} records are gone that were told to be on disk")
    if told.epochs and found["epochs"] != told.epochs:
        wrong.append(f"epochs {found['epochs']} instead of {told.epochs}")
    wanted: dict[str, list[bytes]] = {stream: [] for stream in STREAMS}
    for number in range(found["count"]):
        wanted[(each := draft(number)).stream].append(each.body)
    for stream, bodies in wanted.items():
        lane = found["streams"].get(stream, {"first": 1, "next": 1, "digest": digest([])})
        if lane["next"] != len(bodies) + 1:
            wrong.append(f"{stream} ends at {lane['next'] - 1}, the state belongs to {len(bodies)}")
        if lane["first"] > told.settling[stream] + 1:
            wrong.append(f"{stream} begins at {lane['first']}, settled were {told.settling[stream]}")
        if lane["digest"] != digest(bodies[lane["first"] - 1 :]):
            wrong.append(f"the records of {stream} are not what was stored")
    return wrong


@pytest.fixture(scope="module")
def kernel() -> Path:
    if not (BOOT / "boot").is_dir():
        pytest.skip("no kernel: run this by `make test-power`")
    return BOOT


def powered(system: System, folder: Path, source: random.Random, told: Told, share: float) -> tuple[list[str], Cut]:
    """One life of the machine, from what the last one left to somewhere in it; what was wrong, and what is gone."""
    image, log, running = folder / "disk", folder / "log", folder / "running"
    shutil.copyfile(image, running)
    with boot(system, "write", running, log) as machine:
        machine.wait_for("opened", BOOT_S_MAX)
        machine.run_for(source.uniform(0.1, WRITING_S))
        machine.cut()
    # One cut in five comes while the file system is mounted and the journal is opened.
    begin = machine.written[machine.said.index(machine.wait_for("opened", 0))] if source.random() < 0.8 else 0
    cut = cut_somewhere(image, log, begin, source, share)
    wrong = [fault for word, *rest in machine.said if word == "opened" for fault in faults(told, rest[0])]
    wrong += [rest[0] for word, *rest in machine.said if word == "failed"]
    told.hear(machine, cut)
    return wrong, cut


def look(system: System, folder: Path, told: Told) -> list[str]:
    """Boot once more, only to look."""
    with boot(system, "look", folder / "disk", folder / "log") as machine:
        opened = machine.wait_for("opened", BOOT_S_MAX)
        machine.wait_for("closed", BOOT_S_MAX)
    return faults(told, opened[1])


@pytest.mark.timeout(ROUNDS * 60 + 120)
def test_nothing_acknowledged_is_lost_to_power_cuts(
    kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut again and again at random: all that was told to be on disk is, as it was, in its epoch, none of it twice."""
    seed = int(os.environ.get("POWER_SEED", random.SystemRandom().randrange(10**6)))
    source = random.Random(seed)
    system = build(kernel, tmp_path)
    format_disk(tmp_path / "disk")
    told = Told()
    sectors = 0
    with capsys.disabled():
        print(f"\n  power cuts: seed {seed}")  # noqa: T201 - to run it again with the same seed
        for number in range(ROUNDS):
            share = source.choice((0.0, 0.5, 0.9))
            wrong, cut = powered(system, tmp_path, source, told, share)
            print(f"  cut {number + 1}: {told.done} records on disk, {cut.sectors} unsynced sectors gone", flush=True)  # noqa: T201
            assert wrong == []
            sectors += cut.sectors
    assert look(system, tmp_path, told) == []
    assert told.done > 100 * ROUNDS
    assert sectors > 0
    assert min(told.settling.values()) > LAG


@pytest.mark.timeout(300)
def test_the_rig_sees_what_is_not_synced(kernel: Path, tmp_path: Path) -> None:
    """The same with a journal that does not sync loses records within a few cuts; or the test above says nothing."""
    source = random.Random(1)
    system = build(kernel, tmp_path, [CARELESS])
    format_disk(tmp_path / "disk")
    told = Told()
    for _ in range(5):
        wrong, _ = powered(system, tmp_path, source, told, 0.0)
        if any("gone that were told" in fault for fault in wrong):
            return
        assert not wrong
    pytest.fail("five power cuts cost a careless journal nothing")
