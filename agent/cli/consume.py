"""`wardgate consume`: the reference consumer. All but options, signals and printing is the package `consumer`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

import typer

from agent.cli import show
from agent.cli.options import AsJson, Lang, Language  # noqa: TC001  # typer reads them at run time
from agent.control.client import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from consumer.account import Account
    from consumer.link import Broker
    from consumer.report import Report
    from consumer.sinks import Sink

NOT_WELL = 1
UNREACHABLE = 3
PORTS = {"mqtt": 1883, "mqtts": 8883}

SESSION_S = 7 * 86_400
"""So long the broker keeps for us what comes while we are away."""

app = typer.Typer()


class Place(NamedTuple):
    """Where records go; at most one of these."""

    sqlite: Path | None
    jsonl: Path | None
    stdout: bool

    @property
    def file(self) -> Path | None:
        return self.sqlite or self.jsonl


@app.command(epilog="Example: wardgate consume mqtt://127.77.0.2:1883 --sqlite events.db --confirm --resend")
def consume(
    broker: Annotated[str, typer.Argument(metavar="URL", help="mqtt://HOST:PORT, or mqtts:// for TLS.")],
    lang: Lang,
    user: Annotated[str | None, typer.Option(help="User at the broker.")] = None,
    password_env: Annotated[
        str | None, typer.Option("--password-env", metavar="NAME", help="Environment variable that holds the password.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Authority of the broker's certificate; else the system's.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Our certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    root: Annotated[str, typer.Option(help="Topic root of the gateways.")] = "wardgate/v1",
    gateway: Annotated[
        str | None, typer.Option(metavar="SITE/GATEWAY", help="One gateway, as in its topics; else all.")
    ] = None,
    sqlite: Annotated[Path | None, typer.Option(metavar="FILE", help="Store in this SQLite file.")] = None,
    jsonl: Annotated[Path | None, typer.Option(metavar="FILE", help="Append to this file of JSON lines.")] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print each event; the report goes to stderr.")] = False,
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm what is stored to the gateways.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Ask the gateways for what is missing.")] = False,
    from_now: Annotated[bool, typer.Option("--from-now", help="Expect nothing that was sent before we came.")] = False,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after this long; else at Ctrl-C.")] = None,
    report_every: Annotated[float | None, typer.Option(metavar="SECONDS", min=1, help="Report in between.")] = None,
    client_id: Annotated[str | None, typer.Option(help="Ours at the broker; by default from host and file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take every event once, store it, and report what is complete; SIGUSR1 reports in between.

    Exit code 0: complete; 1: something is missing or unknown; 3: the broker was never reached.
    """
    place = Place(sqlite, jsonl, stdout)
    _check(place, confirm=confirm, gateway=gateway)
    where = _broker(broker, user, password_env, (ca, cert, key), client_id, place, f"{root}|{gateway}")
    run = _Run(seconds, report_every, lang, as_json=as_json, to_stderr=stdout)
    with _sink(place, root) as sink:
        run.consume(where, root, gateway, sink, confirm=confirm, resend=resend, from_now=from_now)


class _Run:
    """One run from its first connection to its report."""

    def __init__(
        self, seconds: float | None, report_every: float | None, language: Language, *, as_json: bool, to_stderr: bool
    ) -> None:
        self._until_s = None if seconds is None else time.monotonic() + seconds
        self._every_s = report_every
        self._next_s = time.monotonic() + (report_every or 0)
        self._language = language
        self._as_json = as_json
        self._to_stderr = to_stderr
        self._stopped = False
        self._asked = False
        self._account: Account

    def consume(
        self, broker: Broker, root: str, gateway: str | None, sink: Sink, *, confirm: bool, resend: bool, from_now: bool
    ) -> None:
        from consumer.account import Account
        from consumer.link import TakenOver
        from consumer.requests import Requests
        from consumer.session import Consumer, Scope

        self._account = Account(sink.load(), from_now=from_now)
        unique = f"{broker.client_id[:40]}-{secrets.token_hex(4)}"
        requests = Requests(self._account, broker.client_id, unique, confirm=confirm, resend=resend)
        consumer = Consumer(broker, Scope(root, gateway), sink, self._account, requests, _notice)
        with self._signals():
            try:
                consumer.run(self._stop)
            except TakenOver as error:
                raise _as_control(error) from error
        verdict = self._report().verdict
        if not consumer.connections:
            raise typer.Exit(UNREACHABLE)
        raise typer.Exit(0 if verdict == "COMPLETE" else NOT_WELL)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        handlers = {signal.SIGTERM: self._on_stop, signal.SIGINT: self._on_stop, signal.SIGUSR1: self._on_ask}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_stop(self, _: int, __: FrameType | None) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self._stopped = True

    def _on_ask(self, _: int, __: FrameType | None) -> None:
        self._asked = True

    def _stop(self) -> bool:
        """Asked between any two batches, so it is also where a report in between is printed."""
        now_s = time.monotonic()
        if self._asked or (self._every_s is not None and now_s >= self._next_s):
            self._asked = False
            self._next_s = now_s + (self._every_s or 0)
            self._report()
        return self._stopped or (self._until_s is not None and now_s >= self._until_s)

    def _report(self) -> Report:
        from consumer.report import lines, report

        told = report(self._account)
        with contextlib.redirect_stdout(sys.stderr) if self._to_stderr else contextlib.nullcontext():
            if self._as_json:
                show.json(told)
            else:
                for each in lines(told, self._language):
                    show.line(each)
        return told


def _check(place: Place, *, confirm: bool, gateway: str | None) -> None:
    if (place.sqlite is not None) + (place.jsonl is not None) + place.stdout > 1:
        raise typer.BadParameter("--sqlite, --jsonl and --stdout exclude each other")
    if confirm and place.file is None:
        raise typer.BadParameter("--confirm says that events are stored: name a file with --sqlite or --jsonl")
    if gateway is not None and (gateway.count("/") != 1 or set(gateway) & set("+#")):
        raise typer.BadParameter(f"--gateway is SITE/GATEWAY, such as h01/gw-1, not {gateway}")


def _broker(
    url: str,
    user: str | None,
    password_env: str | None,
    files: tuple[Path | None, Path | None, Path | None],
    client_id: str | None,
    place: Place,
    scope: str,
) -> Broker:
    from consumer.link import Broker

    host, port, tls = _address(url)
    ca, cert, key = files
    if not tls and any(files):
        raise typer.BadParameter("--ca, --cert and --key need TLS: write the address with mqtts://")
    # Without a memory of its own a consumer cannot go on where it was; the broker need not keep anything for it.
    session_s = SESSION_S if place.file is not None else 0
    return Broker(
        host,
        port,
        client_id or _client_id(place, scope),
        user,
        _password(password_env),
        tls,
        ca,
        cert,
        key,
        session_s,
    )


def _address(url: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise typer.BadParameter(f"{url}: {error}") from error
    if "@" in parts.netloc:
        raise typer.BadParameter("user and password are not part of the address: use --user and --password-env")
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/"):
        raise typer.BadParameter(f"{url} is no address of a broker: write mqtt://HOST:PORT or mqtts://HOST:PORT")
    return parts.hostname, port or PORTS[parts.scheme], parts.scheme == "mqtts"


def _password(variable: str | None) -> str | None:
    if variable is None:
        return None
    if variable not in os.environ:
        raise typer.BadParameter(f"--password-env: there is no variable {variable}")
    return os.environ[variable]


def _client_id(place: Place, scope: str) -> str:
    """The same whenever it stores the same into the same file; otherwise a new one."""
    if place.file is None:
        return f"wardgate-consume-{secrets.token_hex(4)}"
    told = f"{socket.gethostname()}|{place.file.absolute()}|{scope}"
    return f"wardgate-consume-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def _sink(place: Place, root: str) -> Iterator[Sink]:
    from consumer.sinks import JsonLinesSink, NoSink, PipeSink, SinkError, SqliteSink

    try:
        if place.sqlite is not None:
            sink: Sink = SqliteSink(place.sqlite)
        elif place.jsonl is not None:
            sink = JsonLinesSink(place.jsonl, root)
        else:
            sink = PipeSink(sys.stdout.buffer) if place.stdout else NoSink()
        with contextlib.closing(sink):
            yield sink
    except SinkError as error:
        raise _as_control(error) from error


def _as_control(error: Exception) -> ControlError:
    what, _, todo = str(error).partition("; ")
    return ControlError(what, todo)


def _notice(what: str) -> None:
    print(f"wardgate consume: {what}", file=sys.stderr, flush=True)
