"""Fields of gateway.yaml read alone, so that a mistake elsewhere in the files does not hide where the gateway lives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from config.document import Document
from config.files import GatewaySpec

if TYPE_CHECKING:
    from pathlib import Path

_STATE = re.compile(rb"""(?:^|[{,])\s*["']?state["']?:[ \t]*["']?([^\s"'#,}]+)""", re.MULTILINE)


def gateway_fields(root: Path) -> dict[str, Any]:
    """Whatever can be understood of the file; of one that is no YAML, where the state is. Raises `OSError`."""
    content = (root / "gateway.yaml").read_bytes()
    written = Document("gateway.yaml", content).data
    if written is not None:
        return dict(written)
    found = _STATE.search(content)
    return {"state": found[1].decode(errors="replace")} if found else {}


def state_folder(root: Path) -> Path:
    """The folder of the gateway's state. Raises `OSError` where gateway.yaml cannot be read."""
    state = gateway_fields(root).get("state", GatewaySpec.model_fields["state"].default)
    return (root / str(state)).absolute()
