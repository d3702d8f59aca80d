"""What `make audit` takes for an answer where a registry's mirror has no page for a single release."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from advisories import Pages

BASE = "https://registry.example/pypi/idna"


@dataclass
class Answer:
    status_code: int
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status_code == 200

    def json(self) -> dict[str, Any]:
        return self.said


class Mirror:
    """Answers by a table of addresses."""

    def __init__(self, **pages: Answer) -> None:
        self._pages = pages

    def get(self, url: str, timeout: int) -> Answer:
        return self._pages.get(url.removeprefix(BASE).strip("/").replace("/", "_").replace(".", "_"), Answer(404))


NEWEST = Answer(200, {"info": {"version": "3.20"}, "vulnerabilities": ["of 3.20"]})
OF_ITS_OWN = Answer(200, {"vulnerabilities": ["of 3.1"]})


@pytest.mark.parametrize(
    ("mirror", "version", "answer"),
    [
        (Mirror(json=NEWEST, **{"3_1_json": OF_ITS_OWN}), "3.1", OF_ITS_OWN),
        (Mirror(json=NEWEST), "3.20", NEWEST),
        (Mirror(json=NEWEST), "3.1", Answer(404)),
        (Mirror(), "3.20", Answer(404)),
    ],
    ids=["has the release", "only the newest, which it is", "only the newest, which it is not", "has nothing"],
)
def test_9_weaknesses_of_another_release_are_never_taken_for_an_answer(
    mirror: Mirror, version: str, answer: Answer
) -> None:
    """The page of the library counts only where it is about the release that is asked for."""
    pages = Pages(mirror)
    assert pages.get(url=f"{BASE}/{version}/json", timeout=1) == answer
