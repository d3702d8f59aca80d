"""`gateway.yaml` to what it stands for, with its paths made absolute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.access import read_http, read_roles
from config.files import GatewaySpec
from config.layers import Layer, Source
from config.model import Home, Journal
from config.notices import read_notifiers
from config.responses import read_responses, read_windows
from config.uplinks import read_uplinks
from config.validate import validate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from config.document import Document
    from config.duty import MaintenanceWindow, Response
    from config.files import JournalSpec, PollSpec
    from config.model import Colour, Role
    from config.outward import Http, Notifier, Uplink
    from config.validate import Report

SOCKET_PATH_BYTES_MAX = 107
"""What Linux allows in the address of a Unix socket."""

POLL_S = {"L": 1.0, "C": 2.0, "N": 10.0, "S": 60.0, "E": 60.0}
"""Life safety, critical, normal, slow, energy: unless the configuration says otherwise."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a configuration that are not lines and devices."""

    spec: GatewaySpec
    journal: Journal
    control_socket: Path
    home: Home
    uplinks: tuple[Uplink, ...]
    notifiers: tuple[Notifier, ...]
    response: Mapping[Colour, Response]
    maintenance: tuple[MaintenanceWindow, ...]
    roles: Mapping[Role, tuple[str, ...]]
    http: Http | None
    source: Source


def read_gateway(document: Document, root: Path, report: Report) -> Gateway | None:
    """The file's content, or `None` and problems."""
    source = Source(document.data, (Layer(document),))
    spec = validate(GatewaySpec, source, report)
    if spec is None:
        return None
    control_socket = _absolute(root, spec.control_socket)
    size = len(str(control_socket).encode())
    if size > SOCKET_PATH_BYTES_MAX:
        message = f"{control_socket} has {size} bytes, a socket's path at most {SOCKET_PATH_BYTES_MAX}"
        report.refuse(source, ("control_socket",), message, "write a shorter absolute path")
    uplinks = read_uplinks(spec, source, root, report)
    notifiers = read_notifiers(spec, source, root, report)
    home = Home(f"{spec.site}-{spec.gateway}", root.absolute(), _absolute(root, spec.state))
    response = read_responses(spec.response, source, report)
    windows = read_windows(spec.maintenance)
    roles = read_roles(spec.roles, source, report)
    http = read_http(spec.http, source, root, report)
    return Gateway(
        spec,
        _journal(spec.journal, root),
        control_socket,
        home,
        uplinks,
        notifiers,
        response,
        windows,
        roles,
        http,
        source,
    )


def poll_intervals(spec: PollSpec, below: Mapping[str, float]) -> dict[str, float]:
    """Seconds for each poll class: what is written, over what is below."""
    written = {name: value for name, value in spec if value is not None}
    return {**below, **written}


def _journal(spec: JournalSpec, root: Path) -> Journal:
    return Journal(
        path=_absolute(root, spec.path),
        size_max_bytes=spec.size_max,
        keep_s=spec.keep,
        telemetry_window_s=spec.telemetry_window,
        memory_max_bytes=spec.memory_max,
        reserve=spec.reserve_percent / 100,
        shares={
            name: each.share_percent / 100 for name, each in spec.streams.items() if each.share_percent is not None
        },
        ages_s={name: each.keep for name, each in spec.streams.items() if each.keep is not None},
    )


def _absolute(root: Path, path: Path) -> Path:
    return (root / path).absolute()
