"""Who may do what: from what is written to what it stands for."""

from __future__ import annotations

import grp
from typing import TYPE_CHECKING

from config.model import ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.access_files import RolesSpec
    from config.layers import Source
    from config.model import Role
    from config.validate import Report


def read_roles(spec: RolesSpec, source: Source, report: Report) -> Mapping[Role, tuple[str, ...]]:
    """Groups by role, of the roles that have any. A group that is not here is only a warning: it may come later."""
    found: dict[Role, tuple[str, ...]] = {role: tuple(names) for role in ROLES if (names := getattr(spec, role))}
    for role, names in found.items():
        for index, name in enumerate(names):
            if not _exists(name):
                hint = f"add it (groupadd {name}), and start wardgate anew"
                report.warn(source, ("roles", role, index), f"this machine has no group {name}", hint)
    return found


def _exists(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True
