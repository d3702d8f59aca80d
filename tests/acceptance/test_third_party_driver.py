"""The example of a driver in a package of its own, as docs/drivers.md shows it: installed by pip, and used."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"^```\w+\n# (\S+\.(?:toml|py|yaml))\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GATEWAY = "site: h01\ngateway: gw-1\nuplinks: {main: {brokers: ['mqtt://127.0.0.1:1883']}}\n"
TEMPERATURE, HUMIDITY = 21.4, 48.0
INSTALL_S_MAX = 120.0


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Where pip has put the package; beside it, in `etc`, the configuration."""
    files = dict(FILE.findall((ROOT / "docs" / "drivers.md").read_text(encoding="utf-8")))
    for name, text in files.items():
        path = tmp_path / ("etc" if name.endswith(".yaml") else "package") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "package" / "wardgate_mast" / "__init__.py").touch()
    (tmp_path / "etc" / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "--target", str(tmp_path / "site"), str(tmp_path / "package")],
        check=True,
        timeout=INSTALL_S_MAX,
    )
    return tmp_path


async def mast(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers first what was not asked, as a slow mast would."""
    while question := await reader.readline():
        number = question.split()[1].decode()
        writer.write(f"999 t=-40 rh=0\n{number} t={TEMPERATURE} rh={HUMIDITY:g}\n".encode())
    writer.close()


async def wardgate(installed: Path, *command: str) -> tuple[int | None, str, str]:
    """Exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *command, "--config", str(installed / "etc"), "--lang", "en",
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(installed / "site")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_13_the_example_package_is_installed_and_reads_its_device(installed: Path) -> None:
    """`check` accepts a line of its protocol, and `read` gives the values of a mast, never those of a late answer."""
    server = await asyncio.start_server(mast, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        lines = installed / "etc" / "lines.yaml"
        lines.write_text(lines.read_text(encoding="utf-8").replace("4001", str(port)), encoding="utf-8")
        code, out, err = await wardgate(installed, "check")
        assert (code, err) == (0, ""), out
        code, out, err = await wardgate(installed, "read", "mast-1", "--json")
    assert code == 0, err
    assert {view["point"]: view["value"] for view in json.loads(out)} == {"t": TEMPERATURE, "rh": HUMIDITY}
