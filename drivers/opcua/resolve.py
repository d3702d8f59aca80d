"""From nodes as people write them to the NodeIds of this server, asked for once per connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from drivers.contract import Grade, Quality
from drivers.errors import Unreachable
from drivers.opcua import nodes, requests
from drivers.opcua.faults import name_of, translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drivers.opcua.nodes import NodeAddress, Path
    from drivers.opcua.session import Session

PATHS_PER_CALL = 100
_WHOLE = 0xFFFF_FFFF
"""The index of a target that is at the end of its path."""

Found = ua.NodeId | Quality
"""A node, or why a point has none."""


class Resolver:
    """The nodes of one session. What was found once is not asked for again."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._found: dict[str, Found] = {}

    async def find(self, texts: Iterable[str]) -> list[Found]:
        """Node or flaw of each. Raises `DriverError`."""
        wanted = list(texts)
        paths: dict[str, list[tuple[int, str]]] = {}
        for text in dict.fromkeys(wanted):
            if text not in self._found:
                self._look_up(text, paths)
        for start in range(0, len(paths), PATHS_PER_CALL):
            some = list(paths.items())[start : start + PATHS_PER_CALL]
            self._found |= dict(zip(dict(some), await self._follow([path for _, path in some]), strict=True))
        return [self._found[text] for text in wanted]

    def _look_up(self, text: str, paths: dict[str, list[tuple[int, str]]]) -> None:
        """What can be said without the server goes into `_found`, what it must be asked for into `paths`."""
        address = nodes.parse(text)
        index = self._namespace(address)
        if index is None:
            self._found[text] = Quality(Grade.BAD, "config_error", f"no namespace {address.uri}")
        elif isinstance(address, nodes.NodeAddress):
            self._found[text] = requests.node_id(address.identifier, index)
        else:
            paths[text] = [(index if step is None else step, name) for step, name in address.steps]

    def _namespace(self, address: NodeAddress | Path) -> int | None:
        if address.uri is None:
            return address.index if isinstance(address, nodes.NodeAddress) else 0
        if address.uri not in self.session.namespaces:
            return None
        return self.session.namespaces.index(address.uri)

    async def _follow(self, paths: Sequence[Sequence[tuple[int, str]]]) -> list[Found]:
        doing = "looking for its nodes by path"
        body = await self.session.send(requests.translate(paths), doing)
        with translated(self.session.endpoint, doing):
            answer = ua_binary.struct_from_binary(ua.TranslateBrowsePathsToNodeIdsResponse, Buffer(body))
            answer.ResponseHeader.ServiceResult.check()
            results = list(answer.Results)
        if len(results) != len(paths):
            raise Unreachable(self.session.endpoint, f"{len(results)} nodes for {len(paths)} paths while {doing}")
        return [_target(result) for result in results]


def _target(result: ua.BrowsePathResult) -> Found:
    """Exactly one node: one of several would be a guess."""
    status = int(result.StatusCode.value)
    if status & 0x8000_0000:
        return Quality(Grade.BAD, "config_error", f"path: {name_of(status)}")
    whole = [target.TargetId for target in result.Targets or () if int(target.RemainingPathIndex) == _WHOLE]
    if len(whole) != 1:
        return Quality(Grade.BAD, "config_error", f"path: {len(whole)} nodes")
    return ua.NodeId(whole[0].Identifier, whole[0].NamespaceIndex)
