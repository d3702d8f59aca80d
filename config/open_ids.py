"""Ids that leave a number open: `pump_{n}.fault` means the point of every pump that a device has."""

from __future__ import annotations

import re

NUMBER = "{n}"
"""Any number or name."""


def opened(text: str) -> re.Pattern[str]:
    """What a text with an open number can become."""
    before, _, after = map(re.escape, text.partition(NUMBER))
    return re.compile(f"{before}(.+){after}")
