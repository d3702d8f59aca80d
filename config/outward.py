"""What the gateway talks to besides devices, as it was configured: brokers, people to tell, callers on the network.

Resolved and frozen, as `config.model`, of which these are parts. Names that end in `_s` are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from config.model import Colour, Role, Stream
    from config.proofs import Proof
    from config.secrets import Secret


@dataclass(frozen=True, slots=True)
class Broker:
    """One MQTT broker: `mqtt://host:port`, or `mqtts://host:port` with TLS."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Tls:
    """What proves the broker and the gateway to each other, as PEM files that may be replaced at any time.

    Without `ca` the authorities that the system trusts are asked. `server_name` is the name in the broker's certificate
    where that is not its address.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Secret | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records an uplink sends; None is all. A record without a system or a colour is not judged by that."""

    streams: frozenset[Stream] | None = None
    systems: frozenset[str] | None = None
    colours: frozenset[Colour] | None = None


@dataclass(frozen=True, slots=True)
class Uplink:
    """One way to the platform. `window` is how many messages may wait for their PUBACK.

    `brokers` are in the order of preference, all with TLS or none. `telemetry_expiry_s` is how long a broker may keep
    telemetry that nobody fetches, None for ever. With `confirm`, a record is done with only when the platform says so;
    `proof_every_s` is how often a test alarm goes the whole way, None for never.
    """

    id: str
    brokers: tuple[Broker, ...]
    mqtt: Literal["5", "3.1.1"]
    client_id: str
    user: str | None
    password: Secret | None
    keep_alive_s: int
    window: int
    backlog_records_per_s: float
    tls: Tls = Tls()
    topic_root: str = "wardgate/v1"
    filter: Filter = Filter()
    telemetry_expiry_s: int | None = None
    confirm: bool = False
    confirm_overdue_s: float = 300.0
    watermark_s: float = 60.0
    proof_every_s: float | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A web server that takes alarms as JSON. Without `ca`, the authorities of the system are trusted."""

    url: str
    token: Secret | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail server and who gets the mail. Without `ca`, the authorities of the system are trusted."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    to: tuple[str, ...]
    user: str | None = None
    password: Secret | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Notifier:
    """Whom to tell on the spot of alarms that no platform has taken for `after_s`."""

    id: str
    way: Webhook | Mail
    after_s: float
    max_per_hour: int


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An IP address of this machine, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may come in over the network."""

    role: Role
    proof: Proof


@dataclass(frozen=True, slots=True)
class Http:
    """Where page, metrics and control API are on the network. `names` are those that browsers may call it by.

    Without accounts whoever reaches it may look: only on loopback. Without `cert` and `key` it speaks plain HTTP: too.
    """

    listen: ListenAddress
    names: tuple[str, ...] = ()
    cert: Path | None = None
    key: Secret | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
