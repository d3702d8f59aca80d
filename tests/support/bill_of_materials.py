"""Whether bill of materials and licence list name everything that the list of requirements names, in the same version.

Usage: bill_of_materials.py requirements.lock wardgate.cdx.json LICENCES.md. Prints what is left out, with exit code 1.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Named = set[tuple[str, str]]
"""Names in their canonical form, with their versions."""


def required(lock: str) -> Named:
    """What is installed here: an entry for another system or Python is not."""
    entries = (
        line.partition(" --hash")[0].rstrip(" \\") for line in lock.splitlines() if re.match(r"[A-Za-z0-9]", line)
    )
    wanted = [Requirement(entry) for entry in entries]
    here = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    return {(canonicalize_name(one.name), str(one.specifier).removeprefix("==")) for one in here}


def in_bill(bill: str) -> Named:
    """The components of a CycloneDX document, and what it is about."""
    said = json.loads(bill)
    components = [said["metadata"]["component"], *said["components"]]
    return {(canonicalize_name(each["name"]), each.get("version", "")) for each in components}


def in_licences(table: str) -> Named:
    """The rows that name a licence."""
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines() if row.startswith("| ")]
    return {(canonicalize_name(name), version) for name, version, licence, *_ in rows if licence not in {"", "UNKNOWN"}}


def left_out(lock: str, bill: str, licences: str) -> list[str]:
    wanted = required(lock)
    return [
        f"{name} {version} is not in the {kind}"
        for kind, named in (("bill of materials", in_bill(bill)), ("list of licences", in_licences(licences)))
        for name, version in sorted(wanted - named)
    ]


if __name__ == "__main__":
    missing = left_out(*(Path(file).read_text(encoding="utf-8") for file in sys.argv[1:4]))
    sys.stderr.writelines(f"{line}\n" for line in missing)
    sys.exit(bool(missing))
