"""A timer of an alarm: how long something has lasted, by the monotonic clock. While the gateway is down it stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Timer:
    """Seconds served up to the monotonic time `mark`; without a mark it stands still.

    A restored timer that ran waits for `resume`.
    """

    served_s: float = 0.0
    mark: float | None = None
    is_running: bool = False

    def start(self, mono: float) -> None:
        """From nothing."""
        self.served_s, self.mark, self.is_running = 0.0, mono, True

    def resume(self, mono: float) -> None:
        """Go on with what was served before a restart."""
        if self.is_running and self.mark is None:
            self.mark = mono

    def stop(self) -> None:
        self.served_s, self.mark, self.is_running = 0.0, None, False

    def count(self, mono: float) -> float:
        """Seconds served until `mono`."""
        if self.mark is not None:
            self.served_s += max(0.0, mono - self.mark)
            self.mark = max(mono, self.mark)
        return self.served_s

    def due(self, after_s: float) -> float | None:
        """The monotonic time at which `after_s` will be served; None while it stands still."""
        return None if self.mark is None else self.mark + after_s - self.served_s
