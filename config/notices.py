"""The ways to tell people on the spot: from what is written to what it stands for."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from config.outward import Mail, Notifier, Webhook
from config.secrets import check_secret, secret_of

if TYPE_CHECKING:
    from pathlib import Path

    from config.files import GatewaySpec
    from config.layers import Source
    from config.notice_files import MailSpec, NotifySpec, WebhookSpec
    from config.validate import Report

PORTS = {"starttls": 587, "tls": 465, "none": 25}


def read_notifiers(gateway: GatewaySpec, source: Source, root: Path, report: Report) -> tuple[Notifier, ...]:
    """All of them, with their paths made absolute."""
    notifiers = tuple(_notifier(name, spec, root) for name, spec in gateway.notify.items())
    for notifier in notifiers:
        way = notifier.way
        key = "webhook" if isinstance(way, Webhook) else "smtp"
        _check(way, source.part("notify").part(notifier.id).part(key), report)
    return notifiers


def _notifier(name: str, spec: NotifySpec, root: Path) -> Notifier:
    way = _webhook(spec.webhook, root) if spec.webhook else _mail(spec.smtp, root)
    return Notifier(name, way, spec.after, spec.max_per_hour)


def _webhook(spec: WebhookSpec, root: Path) -> Webhook:
    return Webhook(spec.url, secret_of(spec.token, root) if spec.token else None, _path(spec.ca, root))


def _mail(spec: MailSpec | None, root: Path) -> Mail:
    assert spec is not None, "the file's grammar wants exactly one way"
    return Mail(
        host=spec.host,
        port=spec.port or PORTS[spec.security],
        security=spec.security,
        sender=spec.sender,
        to=tuple(spec.to),
        user=spec.user,
        password=secret_of(spec.password, root) if spec.password else None,
        ca=_path(spec.ca, root),
    )


def _path(path: Path | None, root: Path) -> Path | None:
    return None if path is None else (root / path).absolute()


def _check(way: Webhook | Mail, written: Source, report: Report) -> None:
    """Only warnings: the file may be put there later, and inside one's own walls plain text is one's own business."""
    if way.ca is not None:
        report.look_for(way.ca, written, ("ca",), "put the PEM file there before it is needed")
    if isinstance(way, Webhook):
        check_secret(way.token, written, "token", report)
        parts = urlsplit(way.url)
        if way.token and parts.scheme == "http" and not _is_here(parts.hostname or ""):
            report.warn(written, ("token",), "it crosses the network readable", "write https:// in url")
        return
    check_secret(way.password, written, "password", report)
    if way.password and way.security == "none" and not _is_here(way.host):
        report.warn(written, ("password",), "it crosses the network readable", "write security: starttls or tls")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
