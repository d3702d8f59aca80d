"""What can go wrong with the journal, named by what to do next.

JournalError          what was handed over is not known to be on disk; nothing more will be stored by this journal
├── JournalUnusable   a person must act: folder, permission, foreign, damaged or newer file
└── JournalLocked     another process has it: stop that one
"""

from __future__ import annotations


class JournalError(Exception):
    """What happened, in one sentence, with the next step in `hint`."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what + (f"; {hint}" if hint else ""))
        self.what = what
        self.hint = hint


class JournalUnusable(JournalError):
    """It cannot be opened as it stands, and trying again will not help."""


class JournalLocked(JournalError):
    """Another process has it open."""


class JournalClosed(JournalError):
    """It was used after `close`."""
