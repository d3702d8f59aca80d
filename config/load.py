"""The configuration folder to one `Config`, or to the list of everything that is wrong with it.

Nothing is opened on the network, and no driver is imported: the caller brings the settings types of the protocols.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from config.catalog import Catalog
from config.checks import check_addresses
from config.devices import Surroundings, device_sources, read_device
from config.errors import ConfigInvalid, Problem
from config.folder import Folder
from config.gateway import POLL_S, poll_intervals, read_gateway
from config.lines import read_lines
from config.lists import KEY as LIST
from config.lists import PointLists, point_list
from config.losses import loss_alarms
from config.model import Config
from config.packs import Packs
from config.responses import check_windows
from config.selectors import Rules
from config.texts import named
from config.validate import Report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from config.document import Document
    from config.errors import ConfigProblem
    from config.files import Protocol
    from config.gateway import Gateway
    from config.layers import Source
    from config.lines import LineEntry
    from config.model import Device


def load(root: Path, protocols: Mapping[str, Protocol], kept: Mapping[str, bytes] | None = None) -> Config:
    """Read and judge everything in the folder `root`, or the `kept` files that were once read from there.

    Raises `ConfigInvalid` with every problem of every file.
    """
    folder = Folder(root, kept)
    report = Report()
    config = _config(folder, protocols, report) if folder.exists() else None
    problems = folder.problems + report.problems
    if problems or config is None:
        raise ConfigInvalid(problems, report.warnings)
    return config


class Places:
    """Where the parts of a valid configuration are written; its files are read once, when the first is asked for."""

    def __init__(self, root: Path, protocols: Mapping[str, Protocol], kept: Mapping[str, bytes] | None = None) -> None:
        self._folder = Folder(root, kept)
        self._protocols = protocols
        self._lists = PointLists(self._folder, Report())

    @cached_property
    def _devices(self) -> list[Document]:
        return list(self._folder.read_all("devices").values())

    @cached_property
    def _lines(self) -> Document | None:
        return self._folder.read("lines.yaml")

    def locate(self, line: str, problem: ConfigProblem) -> Problem:
        """The problem at the field, the point, the device or the line that it names."""
        device, point = problem.device, problem.point
        path = tuple(part for part in ("devices", device, "points" if point else "", point) if part)
        files = self._devices if device else []
        document = next((file for file in files if file.has(path[:2])), None)
        field = (problem.field,) if problem.field else ()
        row = self._row(line, device, point, document) if document and not document.has((*path, *field)) else None
        if row is not None:
            return row.problem(field, problem.message, problem.hint)
        if document is None:
            document, path = self._lines, ("lines", line)
        if document is None:
            return Problem("lines.yaml", 0, 0, line, problem.message, problem.hint)
        return document.problem((*path, *field), problem.message, problem.hint)

    def _row(self, line: str, device: str, point: str, document: Document) -> Source | None:
        """The point in the list of its device, if it comes from there."""
        source = dict(device_sources(document, Report())).get(device)
        if not point or self._lines is None or source is None or LIST not in source.data:
            return None
        protocol = self._protocols[self._lines.data["lines"][line]["protocol"]]
        listed = self._lists.get(device, point_list(source), source, protocol)
        return listed.rows.get(point) if listed else None


def _config(folder: Folder, protocols: Mapping[str, Protocol], report: Report) -> Config | None:
    gateway_file, lines_file = folder.read("gateway.yaml"), folder.read("lines.yaml")
    files = folder.read_all("devices")
    gateway = read_gateway(gateway_file, folder.root, report) if gateway_file else None
    lines = read_lines(lines_file, folder.root, protocols, report) if lines_file else {}
    catalog = Catalog(folder, protocols, report)
    poll_s = poll_intervals(gateway.spec.poll, POLL_S) if gateway else POLL_S
    packs, rules = Packs(folder, report), Rules.read(folder.read_all("alarms").values(), report)
    lists = PointLists(folder, report)
    around = Surroundings(lines, catalog, packs, rules, lists, poll_s, report, lines_known=lines_file is not None)
    devices = _devices(files, around, report)
    if gateway is not None and not report.problems:
        check_windows(gateway.maintenance, devices, gateway.source, report)
    return _assembled(gateway, lines, devices, folder, report) if gateway else None


def _devices(files: Mapping[str, Document], around: Surroundings, report: Report) -> list[Device]:
    seen: dict[str, Source] = {}
    devices: list[Device] = []
    for document in files.values():
        for name, source in device_sources(document, report):
            first = seen.setdefault(name, source)
            if first is not source:
                place = first.problem((), "")
                hint = "write another id, ids are unique in the gateway"
                report.refuse(source, (), f"{place.file}:{place.line} has this device already", hint, at_key=True)
            device = read_device(name, source, around)
            devices += [device] if device else []
    if len(devices) == len(seen):
        around.rules.check()
        around.lists.check()
    for check in report.later:
        check()
    check_addresses(((device.id, device.line, device.address, seen[device.id]) for device in devices), report)
    return devices


def _assembled(
    gateway: Gateway, lines: Mapping[str, LineEntry], devices: list[Device], folder: Folder, report: Report
) -> Config:
    on_lines = {entry.id: [device for device in devices if device.line == entry.id] for entry in lines.values()}
    built = [entry.line(on_lines[entry.id], gateway.home) for entry in lines.values()]
    for entry, line in zip(lines.values(), built, strict=True):
        if line is not None and not line.devices and not report.problems:
            report.warn(entry.source, (), "no device is on this line", "remove the line, or name it in a device")
    kept = tuple(line for line in built if line is not None)
    return Config(
        site=gateway.spec.site,
        gateway=gateway.spec.gateway,
        name=named(gateway.spec.name, gateway.spec.gateway),
        time_zone=gateway.spec.time_zone,
        topic_root=gateway.spec.topic_root,
        type_prefix=gateway.spec.type_prefix,
        version=folder.version(),
        control_socket=gateway.control_socket,
        journal=gateway.journal,
        uplinks=gateway.uplinks,
        lines=kept,
        losses=tuple(loss_alarms(kept)),
        response=gateway.response,
        maintenance=gateway.maintenance,
        platform_commands=frozenset(gateway.spec.platform_commands),
        notifiers=gateway.notifiers,
        home=gateway.home,
        files=folder.contents,
        roles=gateway.roles,
        http=gateway.http,
        warnings=tuple(sorted(set(report.warnings))),
    )
