"""The command `wardgate`: hands over to the verb.

`run` goes past the command line's framework, so the daemon, which lives for years, carries neither typer nor rich.
"""

import sys
from importlib import import_module

from agent.cli import run


def main() -> int:
    """Exit code: 0 done, 1 what was checked is not well, 2 usage, 3 the daemon is not reachable."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        folder = run.folder(arguments[1:])
        # structlog imports rich wherever it is installed; None makes that import fail, which it is prepared for.
        sys.modules["rich"] = None  # type: ignore[assignment]  # documented for blocking an import
        code: int = import_module("agent.daemon").main(folder)
    else:
        code = import_module("agent.cli.app").main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
