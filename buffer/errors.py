"""What can go wrong with the journal, named by what to do next.

JournalError              our bug, or one of these:
├── JournalUnusable       a person must act: folder, permission, foreign or newer file
│   └── JournalDamaged    the file is not whole; opening a journal salvages it, whoever only reads is told
├── JournalUnavailable    the disk does not answer now; the journal tries again by itself, so may the caller
├── JournalLocked         another process has it: stop that one
└── JournalClosed         it was used after `close`
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


class JournalDamaged(JournalUnusable):
    """What is on disk cannot be what was written."""


class JournalUnavailable(JournalError):
    """Not now, but trying again will help."""


class JournalLocked(JournalError):
    """Another process has it open."""


class JournalClosed(JournalError):
    """It was used after `close`."""
