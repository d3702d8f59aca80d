"""Read-only by construction: nothing in the package can change anything in a plant."""

from __future__ import annotations

import ast
from pathlib import Path

import drivers.opcua
from drivers.opcua import requests

SOURCES = sorted(Path(drivers.opcua.__file__).parent.glob("*.py"))
ALLOWED = {
    "ReadRequest",
    "CreateSubscriptionRequest",
    "CreateMonitoredItemsRequest",
    "MonitoredItemCreateRequest",
    "PublishRequest",
    "TranslateBrowsePathsToNodeIdsRequest",
    "CloseSessionRequest",
    "CallRequest",
    "CallMethodRequest",
}
ON_DISK = {"identity.py": {"write"}, "trust.py": {"write_bytes"}}
"""Certificates are written to files of our own."""
FORBIDDEN = ("write", "call_method", "set_value", "add_node", "delete_node", "add_reference", "history_update")


def names(source: Path) -> set[str]:
    """Every name and attribute that the code of a module uses."""
    nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {
        node.id for node in nodes if isinstance(node, ast.Name)
    }


def test_only_these_requests_exist() -> None:
    """Reading, subscribing, and leaving; and all of them are made in one module."""
    made = {source.name: {name for name in names(source) if name.endswith("Request")} for source in SOURCES}
    assert made["requests.py"] == ALLOWED
    assert {name for source, found in made.items() if source != "requests.py" for name in found} <= {
        "ReadRequest",
        "MonitoredItemCreateRequest",
    }


def test_no_service_that_writes_or_calls_is_used() -> None:
    """Neither the library's shortcuts nor its services."""
    used = set().union(*(names(source) - ON_DISK.get(source.name, set()) for source in SOURCES))
    assert len(used) > 100
    assert not {name for name in used if name.startswith(FORBIDDEN) or name in {"call", "WriteValue"}}


def test_the_only_method_that_is_called_is_condition_refresh() -> None:
    """It has the server repeat what stands; the method stands in one place, and comes from nowhere else."""
    (method,) = requests.condition_refresh(7).Parameters.MethodsToCall
    assert (method.ObjectId.Identifier, method.MethodId.Identifier) == (2782, 3875)
    assert [argument.Value for argument in method.InputArguments] == [7]
    assert [source.name for source in SOURCES if names(source) & {"MethodId", "MethodsToCall"}] == ["requests.py"]
