"""Installing into the file system of another machine: what is there afterwards, and what is left alone.

The release is a stand-in of one module, so that no wheel has to come from anywhere; pip is the one that Python brings.
What needs a service manager (switching a running gateway, taking a release back) is tried under a real one.
"""

from __future__ import annotations

import ensurepip
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
PIP_PLACES = (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels"))
UNIT = "etc/systemd/system/wardgate.service"
TRIAL = "etc/systemd/system/wardgate-trial.service"
WANTED = "etc/systemd/system/multi-user.target.wants/wardgate.service"
SERIAL = "etc/systemd/system/wardgate.service.d/serial.conf"
INSTALL_S_MAX = 120

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may install"),
    pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="no systemd-sysusers: install systemd"),
]


class Machine:
    """A root of its own, and bundles to install into it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        (self.root / "etc").mkdir(parents=True)
        self.tools = folder / "tools"
        self._bundle = folder / "bundle"

    def bundle(self, version: str, tag: str = "py3-none-any") -> None:
        """As `make bundle` makes it, with a stand-in for the gateway."""
        shutil.rmtree(self._bundle, ignore_errors=True)
        shutil.copytree(SYSTEMD, self._bundle)
        wheels = self._bundle / "wheels"
        wheels.mkdir()
        shutil.copy(bundled_pip(), wheels)
        info = f"wardgate-{version}.dist-info"
        files = {
            "stand_in.py": f"def main():\n    print({version!r})\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: wardgate\nVersion: {version}\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
            f"{info}/entry_points.txt": "[console_scripts]\nwardgate = stand_in:main\n",
            f"{info}/RECORD": "",
        }
        built = wheels / f"wardgate-{version}-{tag}.whl"
        with ZipFile(built, "w") as wheel:
            for name, text in files.items():
                wheel.writestr(ZipInfo(name), text)
        digest = sha256(built.read_bytes()).hexdigest()
        (self._bundle / "requirements.lock").write_text(f"wardgate=={version} --hash=sha256:{digest}\n")

    def damage(self) -> None:
        """The wheel is not the one whose hash the list holds."""
        (wheel,) = (self._bundle / "wheels").glob("wardgate-*.whl")
        with ZipFile(wheel, "a") as more:
            more.writestr("more.py", "")

    def run(self, script: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(self._bundle / script), "--root", str(self.root), *options]
        path = {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}"}
        return subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False, env=path)

    def install(self, version: str, *options: str) -> str:
        """The release that is current afterwards."""
        self.bundle(version)
        done = self.run("install.sh", *options)
        assert done.returncode == 0, done.stderr
        return self.current()

    def current(self) -> str:
        return (self.root / "opt/wardgate/current").readlink().name

    def releases(self) -> set[str]:
        return {release.name for release in (self.root / "opt/wardgate/releases").iterdir()}

    def has(self, path: str) -> bool:
        return os.path.lexists(self.root / path)

    def version(self) -> str:
        """What the current release says when it runs."""
        python = self.root / "opt/wardgate/current/bin/python"
        told = subprocess.run(
            [python, "-c", "import stand_in; stand_in.main()"], capture_output=True, text=True, check=True
        )
        return told.stdout.strip()


def bundled_pip() -> Path:
    found = [wheel for place in PIP_PLACES for wheel in place.glob("pip-*.whl")]
    if not found:
        pytest.skip("Python brings no pip: install python3-venv")
    return found[0]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_installs_release_unit_user_and_folders(machine: Machine) -> None:
    """Nothing names the folder that stands for the machine's root, and no pip stays behind."""
    release = machine.install("1.0.0")
    assert release.startswith("1.0.0-")
    assert machine.version() == "1.0.0"
    command = machine.root / "opt/wardgate/current/bin/wardgate"
    assert f"/opt/wardgate/releases/{release}/bin/python" in command.read_text()
    assert str(machine.root) not in command.read_text()
    assert not list((machine.root / "opt/wardgate/current/bin").glob("pip*"))
    assert (machine.root / "usr/local/bin/wardgate").readlink() == Path("/opt/wardgate/current/bin/wardgate")
    assert (machine.root / UNIT).read_text() == (SYSTEMD / "wardgate.service").read_text()
    assert machine.has(WANTED)
    assert (machine.root / TRIAL).read_text() == (SYSTEMD / "wardgate-trial.service").read_text()
    assert not machine.has(SERIAL)
    lines = (line.split(":") for line in (machine.root / "etc/group").read_text().splitlines())
    groups = {name: group for name, _, group, _ in lines}
    etc = (machine.root / "etc/wardgate").stat()
    assert (stat.S_IMODE(etc.st_mode), etc.st_gid) == (0o750, int(groups["wardgate"]))


def test_an_image_is_given_its_own_interpreter(machine: Machine) -> None:
    """The one here may lie where the other machine has none; another version of it would not find the libraries."""
    theirs = machine.root / "usr/bin/python3"
    theirs.parent.mkdir(parents=True)
    theirs.symlink_to(f"python3.{sys.version_info.minor}")
    release = machine.root / "opt/wardgate/releases" / machine.install("1.0.0")
    assert (release / "bin/python3").readlink() == Path("/usr/bin/python3")
    assert "home = /usr/bin\n" in (release / "pyvenv.cfg").read_text()
    theirs.unlink()
    theirs.symlink_to("python3.2")
    machine.bundle("1.0.1")
    done = machine.run("install.sh")
    assert (done.returncode, machine.current()) == (1, release.name)
    assert "has python3.2, but python3 is python3." in done.stderr


def test_a_second_time_changes_nothing(machine: Machine) -> None:
    """Whoever is not sure whether it went through runs it again."""
    release = machine.install("1.0.0")
    built = (machine.root / "opt/wardgate/current/.complete").stat().st_mtime_ns
    assert machine.install("1.0.0") == release
    assert (machine.root / "opt/wardgate/current/.complete").stat().st_mtime_ns == built


def test_the_same_version_is_built_anew_for_another_python(machine: Machine) -> None:
    """Debian was upgraded: what stands there finds its libraries no more."""
    release = machine.install("1.0.0")
    machine.tools.mkdir()
    other = machine.tools / "python3"
    other.write_text(f'#!/bin/sh\ncase $2 in *cache_tag*) echo cpython-399 ;; *) exec {sys.executable} "$@" ;; esac\n')
    other.chmod(0o755)
    assert machine.install("1.0.0") != release
    assert machine.version() == "1.0.0"


def test_a_release_that_was_interrupted_is_built_anew(machine: Machine) -> None:
    """The power may go in the middle."""
    release = machine.install("1.0.0")
    folder = machine.root / "opt/wardgate/releases" / release
    (folder / ".complete").unlink()
    (folder / "bin/wardgate").write_text("half")
    assert machine.install("1.0.0") == release
    assert "half" not in (folder / "bin/wardgate").read_text()


@pytest.mark.parametrize("fault", ["of another machine", "damaged"])
def test_a_release_that_cannot_be_built_leaves_nothing_behind(machine: Machine, fault: str) -> None:
    """Wheels for another processor or Python, or others than were tested; the old one goes on."""
    release = machine.install("1.0.0")
    (machine.root / "opt/wardgate/releases/half").mkdir()
    machine.bundle("1.0.1", "cp27-cp27m-manylinux1_i686" if fault == "of another machine" else "py3-none-any")
    if fault == "damaged":
        machine.damage()
    done = machine.run("install.sh")
    assert (done.returncode, machine.current(), machine.releases()) == (1, release, {release})
    assert ("is not a supported wheel" in done.stderr or "No matching" in done.stderr) == (
        fault == "of another machine"
    )
    assert ("HASHES" in done.stderr) == (fault == "damaged")


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
def test_two_at_once_do_not_get_in_each_others_way(machine: Machine, script: str) -> None:
    """Whoever comes second is told so, and nothing is touched."""
    release = machine.install("1.0.0")
    machine.bundle("1.0.1")
    with (machine.root / "opt/wardgate/.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = machine.run(script)
    assert (done.returncode, machine.current(), machine.releases()) == (1, release, {release})
    assert "install.sh is at work on " in done.stderr


def test_releases_stand_side_by_side_and_the_newest_three_are_kept(machine: Machine) -> None:
    """One of them may have to be gone back to, by hand."""
    names = [machine.install(f"1.0.{number}") for number in range(4)]
    assert machine.current() == names[-1]
    assert machine.version() == "1.0.3"
    assert machine.releases() == set(names[1:])
    assert machine.run("install.sh", "--release", names[1]).returncode == 0
    assert (machine.current(), machine.version()) == (names[1], "1.0.1")
    done = machine.run("install.sh", "--release", names[0])
    assert (done.returncode, machine.current()) == (1, names[1])
    assert f"there is no release {names[0]}; there are: {names[1]} " in done.stderr


def test_what_the_operator_has_decided_survives_an_upgrade(machine: Machine) -> None:
    """Configuration, a service that is disabled, and serial ports that were opened once."""
    machine.install("1.0.0", "--serial")
    (machine.root / WANTED).unlink()
    (machine.root / "etc/wardgate/gateway.yaml").write_text("site: h01\n")
    machine.install("1.0.1")
    assert not machine.has(WANTED)
    assert machine.has(SERIAL)
    assert machine.has("etc/modules-load.d/wardgate.conf")
    assert (machine.root / "etc/wardgate/gateway.yaml").read_text() == "site: h01\n"


def test_uninstalling_keeps_configuration_and_journal_unless_it_is_to_purge(machine: Machine) -> None:
    """And what is not ours: a drop-in of the site."""
    machine.install("1.0.0", "--serial")
    kept = ["etc/wardgate/gateway.yaml", "var/lib/wardgate/journal/journal.db", f"{UNIT}.d/site.conf"]
    for name in kept:
        (machine.root / name).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / name).touch()
    for _ in range(2):
        assert machine.run("uninstall.sh").returncode == 0
        assert all(machine.has(name) for name in kept)
    assert not any(
        machine.has(name) for name in (UNIT, TRIAL, WANTED, SERIAL, "opt/wardgate", "usr/local/bin/wardgate")
    )
    done = machine.run("uninstall.sh", "--purge")
    assert done.returncode == 0, done.stderr
    assert not any(machine.has(name) for name in (*kept, "etc/wardgate", "var/lib/wardgate"))
    assert "wardgate" not in (machine.root / "etc/passwd").read_text()


def test_a_bundle_that_is_not_whole_is_refused_in_one_sentence(machine: Machine) -> None:
    """Before anything is switched."""
    release = machine.install("1.0.0")
    machine.bundle("1.0.1")
    (machine.root.parent / "bundle/wheels/wardgate-1.0.1-py3-none-any.whl").unlink()
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert done.stderr.startswith("install.sh: there must be one wardgate-*.whl in ")
    assert done.stderr.count("\n") == 1
    assert machine.current() == release


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("install.sh", ["--rot", "/"]),
        ("install.sh", ["--wheels", "/nowhere"]),
        ("install.sh", ["--finish"]),
        ("uninstall.sh", ["--all"]),
        ("uninstall.sh", ["--root"]),
    ],
)
def test_wrong_options_are_a_usage_error(machine: Machine, script: str, options: list[str]) -> None:
    """Exit code 2, and nothing is touched."""
    machine.bundle("1.0.0")
    assert machine.run(script, *options).returncode == 2
    assert not machine.has("opt")
