"""`python -m hardware_mocks [modbus|bacnet|opcua]`: one protocol's servers, or all of them under a supervisor."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

from hardware_mocks.serving import serve
from hardware_mocks.settings import ALL, parse
from hardware_mocks.supervisor import ChildFailed, supervise

if TYPE_CHECKING:
    from hardware_mocks.layout import ProtocolName


def main() -> None:
    """Ends with 1 and one line on standard error where an address is taken or a child fails."""
    protocol, settings = parse(sys.argv[1:])
    try:
        asyncio.run(supervise(settings) if protocol == ALL else serve(cast("ProtocolName", protocol), settings))
    except (OSError, ChildFailed) as problem:
        sys.stderr.write(f"hardware_mocks {protocol}: {problem}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
