"""The ways to the platform: from what is written to what it stands for, and whether their parts agree."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from config.checks import check_clients, check_roots, near_system
from config.outward import Filter, Tls, Uplink
from config.secrets import check_secret, secret_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from config.files import FilterSpec, GatewaySpec, TlsSpec, UplinkSpec
    from config.layers import Source
    from config.validate import Report


def read_uplinks(gateway: GatewaySpec, source: Source, root: Path, report: Report) -> tuple[Uplink, ...]:
    """All of them, with their paths made absolute."""
    uplinks = {name: _uplink(name, uplink, gateway, root) for name, uplink in gateway.uplinks.items()}
    written = source.part("uplinks", {}) if not uplinks else source.part("uplinks")
    for name, uplink in uplinks.items():
        _check_transport(gateway.uplinks[name], uplink, written.part(name), report)
        _check_files(uplink.tls, written.part(name), report)
        check_secret(uplink.password, written.part(name), "password", report)
        _check_proof(uplink, written.part(name), report)
        _check_systems(uplink.filter.systems or (), written.part(name), report)
    check_clients(uplinks, source, report)
    check_roots(uplinks, source, report)
    if not uplinks:
        report.warn(
            source, ("uplinks",), "none, so nothing leaves this gateway", "write uplinks: {main: {brokers: […]}}"
        )
    return tuple(uplinks.values())


def _uplink(name: str, spec: UplinkSpec, gateway: GatewaySpec, root: Path) -> Uplink:
    return Uplink(
        id=name,
        brokers=tuple(spec.brokers),
        mqtt=spec.mqtt,
        client_id=spec.client_id or f"{gateway.site}-{gateway.gateway}-{name}",
        user=spec.user,
        password=secret_of(spec.password, root) if spec.password else None,
        keep_alive_s=round(spec.keep_alive),
        window=spec.window,
        backlog_records_per_s=spec.backlog_rate,
        tls=_tls(spec.tls, root) if spec.tls else Tls(),
        topic_root=spec.topic_root or gateway.topic_root,
        filter=_filter(spec.filter),
        telemetry_expiry_s=round(spec.telemetry_expiry) if spec.telemetry_expiry else None,
        confirm=spec.confirm,
        confirm_overdue_s=spec.confirm_overdue,
        watermark_s=spec.watermark,
        proof_every_s=spec.proof_test.every if spec.proof_test else None,
    )


def _tls(spec: TlsSpec, root: Path) -> Tls:
    return Tls(
        ca=(root / spec.ca).absolute() if spec.ca else None,
        cert=(root / spec.cert).absolute() if spec.cert else None,
        key=secret_of(spec.key, root) if spec.key else None,
        server_name=spec.server_name,
    )


def _filter(spec: FilterSpec) -> Filter:
    return Filter(
        streams=frozenset(spec.streams) if spec.streams else None,
        systems=frozenset(spec.systems) if spec.systems else None,
        colours=frozenset(spec.colours) if spec.colours else None,
    )


def _check_transport(spec: UplinkSpec, uplink: Uplink, written: Source, report: Report) -> None:
    """TLS everywhere or nowhere: another broker must not be a way round it."""
    secure = [broker.tls for broker in uplink.brokers]
    if any(secure) and not all(secure):
        report.refuse(
            written,
            ("brokers", secure.index(False)),
            "a broker without TLS beside one with it",
            "write mqtts:// for all of them",
        )
    if spec.tls and not any(secure):
        report.refuse(written, ("tls",), "no broker is reached with TLS", "write mqtts:// in brokers, or remove tls")
    if uplink.telemetry_expiry_s is not None and uplink.mqtt != "5":
        hint = 'write mqtt: "5", or remove it'
        report.refuse(written, ("telemetry_expiry",), "MQTT 3.1.1 has no expiry", hint)
    if uplink.password and not all(broker.tls or _is_here(broker.host) for broker in uplink.brokers):
        report.warn(written, ("password",), "it crosses the network readable", "write mqtts:// in brokers")


def _check_files(tls: Tls, written: Source, report: Report) -> None:
    for key, path in (("ca", tls.ca), ("cert", tls.cert), ("key", _key_file(tls))):
        if path is not None:
            report.look_for(path, written, ("tls", key), "put the PEM file there before it is needed")


def _key_file(tls: Tls) -> Path | None:
    return Path(tls.key.name) if tls.key is not None and tls.key.source == "file" else None


def _check_proof(uplink: Uplink, written: Source, report: Report) -> None:
    """A test alarm proves something only where it is sent, and its confirmation is waited for."""
    if uplink.proof_every_s is None:
        return
    if not uplink.confirm:
        report.refuse(written, ("proof_test",), "nothing is confirmed on this uplink", "write confirm: true beside it")
    for key, wanted in (("streams", "critical"), ("systems", "gw"), ("colours", "blue")):
        allowed = getattr(uplink.filter, key)
        if allowed is not None and wanted not in allowed:
            message = f"the filter holds the test alarm back, which is {wanted}"
            report.refuse(written, ("filter", key), message, f"write {wanted} too, or remove proof_test")


def _check_systems(systems: Iterable[str], written: Source, report: Report) -> None:
    for system in sorted(systems):
        match = near_system(system)
        if match:
            message = f"found {system!r}, which no alarm pack knows"
            report.warn(written, ("filter", "systems"), message, f"did you mean {match}?")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
