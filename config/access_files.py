"""What may be written in `gateway.yaml` about who may do what: `roles` for this machine."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from config.fields import Spec


def _group(name: str) -> str:
    if not name or any(sign in name for sign in ":/,\n"):
        raise ValueError("not a group; write its name, as in /etc/group")
    return name


GroupName = Annotated[str, AfterValidator(_group)]
GroupNames = Annotated[list[GroupName], Field(max_length=32)]


class RolesSpec(Spec):
    """Groups of this machine. A role may do what those before it may."""

    view: GroupNames = Field(default_factory=list)
    acknowledge: GroupNames = Field(default_factory=list)
    configure: GroupNames = Field(default_factory=list)
