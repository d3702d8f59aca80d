"""The other end of the control API, for every verb and the live view.

Blocking, and nothing but the standard library and msgspec: a verb that asks the daemon should be as quick as `ls`.
"""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

import msgspec

from agent.status import (
    AlarmView,
    ConfigView,
    HistoryView,
    MaintenanceView,
    OccurrenceView,
    PointView,
    ReloadView,
    Status,
    TransitionView,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.rules.commands import AlarmVerb
    from config.duty import Preset

ANSWER_S_MAX = 15.0
"""Longer than any single device may take to be read."""

_T = TypeVar("_T")


class ControlError(Exception):
    """What went wrong and what to do, as the operator reads it."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what + (f"; {hint}" if hint else ""))
        self.what = what
        self.hint = hint


class DaemonUnreachable(ControlError):
    """Nobody answers on the control socket."""


class DaemonAbsent(DaemonUnreachable):
    """There is no daemon: nothing listens where its socket should be."""


class UnknownName(ControlError):
    """The daemon does not know the device, point, stream or alarm."""


class NotDone(ControlError):
    """The daemon answered that it cannot or may not."""


class _ErrorBody(msgspec.Struct):
    error: str = ""
    hint: str = ""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("wardgate", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """Every method raises `DaemonUnreachable`, `UnknownName` or `NotDone`."""

    def __init__(self, path: Path, timeout_s: float | None = None) -> None:
        self.path = path
        self._timeout_s: float | None = ANSWER_S_MAX if timeout_s is None else timeout_s

    def status(self) -> Status:
        return self._ask("GET", "/v1/status", Status)

    def configuration(self) -> ConfigView:
        """What the daemon runs with, which is not always what its folder holds by now."""
        return self._ask("GET", "/v1/config", ConfigView)

    def reload(self, reason: str = "") -> ReloadView:
        """Have the daemon take over what its folder holds now. Waits as long as that takes."""
        self._timeout_s = None
        return self._ask("POST", "/v1/config/reload", ReloadView, {"reason": reason})

    def points(self, device: str | None = None) -> list[PointView]:
        query = "?" + urlencode({"device": device}) if device is not None else ""
        return self._ask("GET", f"/v1/points{query}", list[PointView])

    def read(self, device: str, points: Sequence[str], *, orders: bool = False) -> list[PointView]:
        """Ask the device itself, now."""
        body = {"device": device, "points": list(points)} | ({"orders": True} if orders else {})
        return self._ask("POST", "/v1/read", list[PointView], body)

    def history(self, point: str, from_s: float, to_s: float, every_s: float | None) -> HistoryView:
        """What a point was between two moments, epoch seconds."""
        asked = {"point": point, "from_s": from_s, "to_s": to_s} | ({"every_s": every_s} if every_s else {})
        return self._ask("GET", "/v1/history?" + urlencode(asked), HistoryView)

    def alarm_history(self, alarm_id: str | None, from_s: float, to_s: float) -> list[TransitionView]:
        """What alarms did between two moments, or one of them."""
        asked = {"from_s": from_s, "to_s": to_s} | ({"alarm_id": alarm_id} if alarm_id is not None else {})
        return self._ask("GET", "/v1/alarms/history?" + urlencode(asked), list[TransitionView])

    def occurrence(self, alarm_id: str, occurrence_id: str | None = None) -> OccurrenceView:
        """One occurrence of an alarm, the last where none is named, with its evidence."""
        asked = {"alarm_id": alarm_id} | ({"occurrence_id": occurrence_id} if occurrence_id is not None else {})
        return self._ask("GET", "/v1/alarms/occurrence?" + urlencode(asked), OccurrenceView)

    def backup(self, path: Path) -> None:
        """Have the daemon copy its journal. Waits as long as that takes."""
        self._timeout_s = None
        self._ask("POST", "/v1/journal/backup", dict[str, str], {"path": str(path.absolute())})

    def order(
        self,
        verb: AlarmVerb,
        alarm_id: str,
        comment: str = "",
        *,
        until_s: float | None = None,
        work_order: str = "",
        owner: str = "",
    ) -> AlarmView:
        """Have an alarm acknowledged, shelved and the like; `until_s` is epoch seconds."""
        body = {"verb": verb, "alarm_id": alarm_id, "comment": comment, "until_s": until_s}
        body |= {"work_order": work_order, "owner": owner}
        return self._ask("POST", "/v1/alarms/order", AlarmView, body)

    def start_maintenance(
        self, reason: str, until_s: float, meant: Mapping[str, Sequence[str]], preset: Preset | None = None
    ) -> MaintenanceView:
        """Of what is `meant`: names of `device`, `system`, `building`, `floor`, `space`; or of a preset."""
        body = {"reason": reason, "until_s": until_s, "preset": preset, **meant}
        return self._ask("POST", "/v1/maintenance/start", MaintenanceView, body)

    def end_maintenance(self, name: str, reason: str = "") -> MaintenanceView:
        return self._ask("POST", "/v1/maintenance/end", MaintenanceView, {"id": name, "reason": reason})

    def metrics(self) -> str:
        """What Prometheus reads."""
        return "".join(f"{line.decode()}\n" for line in self._lines("/metrics", self._timeout_s))

    def watch(self, points: Sequence[str] = ()) -> Iterator[list[PointView]]:
        """Points as they stand, then as they change; ends when the daemon does."""
        for line in self._lines("/v1/watch?" + urlencode([("point", point) for point in points])):
            yield _decode(line, list[PointView])

    def tail(self, streams: Sequence[str] = ()) -> Iterator[bytes]:
        """Events as they are stored, one JSON line each without its end; ends when the daemon does."""
        yield from self._lines("/v1/tail?" + urlencode([("stream", stream) for stream in streams]))

    def _ask(self, method: str, target: str, kind: type[_T], body: object = None) -> _T:
        connection = _UnixConnection(self.path, self._timeout_s)
        try:
            return _decode(self._open(connection, method, target, body).read(), kind)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _lines(self, target: str, timeout_s: float | None = None) -> Iterator[bytes]:
        connection = _UnixConnection(self.path, timeout_s)
        try:
            response = self._open(connection, "GET", target, None)
            while line := response.readline():
                yield line.rstrip(b"\n")
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _open(self, connection: _UnixConnection, method: str, target: str, body: object) -> http.client.HTTPResponse:
        connection.request(method, target, None if body is None else msgspec.json.encode(body))
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise _explain(response.status, response.read())
        return response

    def _unreachable(self, error: Exception) -> DaemonUnreachable:
        hints: dict[type[Exception], str] = {
            FileNotFoundError: "start it (`wardgate run`, `systemctl start wardgate`) or name its --config folder",
            ConnectionRefusedError: "it has stopped; start it (`wardgate run`, `systemctl start wardgate`)",
            PermissionError: "join the group that owns the socket, or use sudo",
            TimeoutError: "it may be stuck; look at `systemctl status wardgate` and its log",
        }
        hint = hints.get(type(error), "it stopped while it answered; look at its log")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        absent = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
        kind = DaemonAbsent if absent else DaemonUnreachable
        return kind(f"no wardgate daemon answers on {self.path} ({reason})", hint)


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise NotDone(
            f"the daemon's answer is not understood: {error}", "use the wardgate of the same version"
        ) from error


def _explain(status: int, body: bytes) -> ControlError:
    try:
        said = msgspec.json.decode(body, type=_ErrorBody)
    except msgspec.DecodeError:
        said = _ErrorBody()
    if status == http.HTTPStatus.NOT_FOUND:
        return UnknownName(said.error or "not found", said.hint)
    return NotDone(said.error or f"the daemon failed at this request (HTTP {status})", said.hint or "see its log")
