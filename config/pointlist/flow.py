"""Cells that hold what YAML would: `{65535: no_value}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from config import yaml12
from config.pointlist.cells import Refused

if TYPE_CHECKING:
    from config.pointlist.cells import Cells


def flow(cells: Cells, field: str) -> Any:
    """Raises `Refused`."""
    text = cells.raw(field)
    try:
        data, flaws = yaml12.load(text)
    except yaml.YAMLError as error:
        raise Refused(f"found {text!r}", "write it as in a device file, such as {1: no_value}", field) from error
    if flaws:
        raise Refused(f"found {text!r}: {flaws[0].what}", flaws[0].hint, field)
    return data
