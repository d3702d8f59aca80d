"""Who may do what: from what is written to what it stands for."""

from __future__ import annotations

import grp
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from config.model import ROLES
from config.outward import Account, Http
from config.secrets import secret_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.access_files import HttpSpec, RolesSpec
    from config.layers import Source
    from config.model import Role
    from config.validate import Report


def read_roles(spec: RolesSpec, source: Source, report: Report) -> Mapping[Role, tuple[str, ...]]:
    """Groups by role, of the roles that have any. A group that is not here is only a warning: it may come later."""
    found: dict[Role, tuple[str, ...]] = {role: tuple(names) for role in ROLES if (names := getattr(spec, role))}
    for role, names in found.items():
        for index, name in enumerate(names):
            if not _exists(name):
                hint = f"add it (groupadd {name}), then wardgate reload"
                report.warn(source, ("roles", role, index), f"this machine has no group {name}", hint)
    return found


def _exists(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True


def read_http(spec: HttpSpec | None, source: Source, root: Path, report: Report) -> Http | None:
    """What is on the network, if anything is: beyond this machine only with accounts and TLS."""
    if spec is None:
        return None
    tls = spec.tls
    http = Http(
        listen=spec.listen,
        names=tuple(name.lower() for name in spec.names),
        cert=(root / tls.cert).absolute() if tls else None,
        key=secret_of(tls.key, root) if tls else None,
        accounts={name: Account(each.role, each.hash) for name, each in spec.accounts.items()},
    )
    if not ip_address(http.listen.host).is_loopback:
        _check_exposed(http, source, report)
    _check_files(http, source, report)
    return http


def _check_exposed(http: Http, source: Source, report: Report) -> None:
    """Alarms can be silenced from here: nobody may come in unproved, and nobody may listen on the way."""
    only_here = "or listen on 127.0.0.1"
    if not http.accounts:
        hint = f"write accounts: {{NAME: {{role: view, hash: …}}}} with what `wardgate password` prints, {only_here}"
        report.refuse(source, ("http", "listen"), f"{http.listen} is open to the network, without accounts", hint)
    if http.cert is None:
        hint = f"write tls: {{cert: FILE, key: {{file: FILE}}}}, {only_here}"
        report.refuse(source, ("http", "listen"), f"{http.listen} is open to the network, without TLS", hint)


def _check_files(http: Http, source: Source, report: Report) -> None:
    key = Path(http.key.name) if http.key is not None and http.key.source == "file" else None
    for name, path in (("cert", http.cert), ("key", key)):
        if path is not None:
            report.look_for(path, source, ("http", "tls", name), "put the PEM file there")
