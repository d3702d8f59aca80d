"""What a protocol has to say about lists of its points. Each driver has one, in its module `pointlist`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.pointlist.cells import Cells, Refused
    from config.pointlist.headings import Headings, Vocabulary


class Listing(Protocol):
    """Built with all rows of a list (`(rows, headings)`), because some things only the whole list can tell.

    What is wrong with the whole list is in `wrong`, so that the rows are judged all the same; the methods raise
    `Refused` for what is wrong with one row.
    """

    columns: Vocabulary
    """The fields that it has beside the general ones."""

    notes: Sequence[str]
    """What it understood, one sentence each, for the person who has to check it."""

    wrong: Sequence[Refused]
    """What forbids the list as a whole: no row of it may be taken."""

    unsaid: Sequence[Refused]
    """What the list leaves open and was assumed, once all rows were read. A device may not refer to such a list."""

    def __init__(self, rows: Sequence[Cells], headings: Headings) -> None: ...

    def is_point(self, cells: Cells) -> bool:
        """Whether the row says where a value is found; a title between points does not."""
        ...

    def point(self, cells: Cells) -> dict[str, Any]:
        """Where the value is found and how it is coded, as a device file says it."""
        ...

    def address(self, cells: Cells) -> dict[str, Any]:
        """Where the device is on its line, as far as the row says it."""
        ...

    def label(self, point: Mapping[str, Any]) -> str:
        """An id for a point that has no other name: where it is."""
        ...
