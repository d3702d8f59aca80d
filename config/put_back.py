"""The files of a configuration put back into its folder, as they once were; nothing is judged here.

Only what a configuration is read from is touched: other files in the folder stay. A file is replaced as a whole, or not
at all, and keeps its rights; a new one gets those of gateway.yaml.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from config.errors import SPREADSHEET
from config.folder import LISTS, PARTS, WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def own_files(root: Path) -> dict[str, bytes]:
    """Every file that a configuration is read from, by name below `root`; all lists are. Raises `OSError`."""
    paths = [root / name for name in WHOLE if (root / name).exists()]
    paths += [path for part in PARTS for path in sorted((root / part).glob("*.yaml"))]
    paths += [path for path in sorted((root / LISTS).glob("*")) if path.suffix.lower() == SPREADSHEET]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def put_back(root: Path, files: Mapping[str, bytes]) -> None:
    """Have the folder hold these files and no other ones that a configuration reads. Raises `OSError`.

    Lists that nothing refers to stay: they may be somebody's work, and mean nothing.
    """
    rights = (root / WHOLE[0]).stat()
    for name, content in files.items():
        _replace(root / name, content, rights)
    for name in own_files(root).keys() - files.keys():
        if not name.startswith(f"{LISTS}/"):
            (root / name).unlink()


def _replace(path: Path, content: bytes, rights: os.stat_result) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        rights = path.stat()
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.chmod(rights.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(unfinished, rights.st_uid, rights.st_gid)
    unfinished.replace(path)
