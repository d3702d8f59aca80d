"""`gateway.yaml` to what it stands for, with its paths made absolute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from config.checks import check_clients
from config.files import GatewaySpec
from config.layers import Layer, Source
from config.model import Journal, Uplink
from config.secrets import Secret
from config.validate import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.document import Document
    from config.fields import SecretSpec
    from config.files import JournalSpec, PollSpec, UplinkSpec
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
    uplinks: tuple[Uplink, ...]


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
    uplinks = {name: _uplink(name, uplink, spec, root) for name, uplink in spec.uplinks.items()}
    check_clients(uplinks, source, report)
    if not uplinks:
        report.warn(
            source, ("uplinks",), "none, so nothing leaves this gateway", "write uplinks: {main: {brokers: […]}}"
        )
    return Gateway(spec, _journal(spec.journal, root), control_socket, tuple(uplinks.values()))


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
    )


def _uplink(name: str, spec: UplinkSpec, gateway: GatewaySpec, root: Path) -> Uplink:
    return Uplink(
        id=name,
        brokers=tuple(spec.brokers),
        mqtt=spec.mqtt,
        client_id=spec.client_id or f"{gateway.site}-{gateway.gateway}-{name}",
        user=spec.user,
        password=_secret(spec.password, root) if spec.password else None,
        keep_alive_s=round(spec.keep_alive),
        window=spec.window,
        backlog_records_per_s=spec.backlog_rate,
    )


def _secret(spec: SecretSpec, root: Path) -> Secret:
    if spec.file is not None:
        return Secret("file", str(_absolute(root, Path(spec.file))))
    if spec.env is not None:
        return Secret("env", spec.env)
    return Secret("credential", spec.credential or "")


def _absolute(root: Path, path: Path) -> Path:
    return (root / path).absolute()
