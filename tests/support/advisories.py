"""pip-audit, which also takes the answer of a mirror that only knows the newest release of each library.

Such a mirror has no page for a single release, but the page of the library tells the weaknesses of its newest one.
Where that is the release that is asked for, it is the answer; where it is not, the library could not be asked about,
as before. Run by `make audit`, in an environment of its own.
"""

from __future__ import annotations

from typing import Any

from packaging.version import Version

GONE = 404


class Pages:
    """A session that gives the page of a release, or that of its library where it says the same."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def get(self, url: str, **options: Any) -> Any:
        found = self._session.get(url=url, **options)
        if found.status_code != GONE:
            return found
        library, version, _ = url.rsplit("/", 2)
        page = self._session.get(url=f"{library}/json", **options)
        is_newest = page.ok and Version(page.json()["info"]["version"]) == Version(version)
        return page if is_newest else found


def main() -> None:
    # pip-audit lives in that environment, where no test is.
    from pip_audit._cli import audit  # type: ignore[import-not-found]  # noqa: PLC0415  # as said
    from pip_audit._service import pypi  # type: ignore[import-not-found]  # noqa: PLC0415  # as said

    opened = pypi.caching_session
    pypi.caching_session = lambda *arguments: Pages(opened(*arguments))
    audit()


if __name__ == "__main__":
    main()
