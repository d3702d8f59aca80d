"""From nodes as people write them to the NodeIds of this server, asked for once per connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.object_ids import ObjectIds

from drivers.contract import Grade, Quality
from drivers.errors import NoAnswer, Refused, Unreachable
from drivers.opcua import nodes, requests
from drivers.opcua.faults import name_of, translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drivers.opcua.nodes import NodeAddress, Path
    from drivers.opcua.session import Session

PATHS_PER_CALL = 100
_WHOLE = 0xFFFF_FFFF
"""The index of a target that is at the end of its path."""

Start = tuple[ua.NodeId, Sequence[tuple[int, str]]]
"""Where a path begins, and its steps: namespace index and name."""

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
        paths: dict[str, Start] = {}
        for text in dict.fromkeys(wanted):
            if text not in self._found:
                self._look_up(text, paths)
        self._found |= dict(zip(paths, await follow(self.session, list(paths.values())), strict=True))
        return [self._found[text] for text in wanted]

    def _look_up(self, text: str, paths: dict[str, Start]) -> None:
        """What can be said without the server goes into `_found`, what it must be asked for into `paths`."""
        address = nodes.parse(text)
        index = self._namespace(address)
        if index is None:
            self._found[text] = Quality(Grade.BAD, "config_error", f"no namespace {address.uri}")
        elif isinstance(address, nodes.NodeAddress):
            self._found[text] = requests.node_id(address.identifier, index)
        else:
            steps = [(index if step is None else step, name) for step, name in address.steps]
            paths[text] = requests.node_id(ObjectIds.ObjectsFolder), steps

    def _namespace(self, address: NodeAddress | Path) -> int | None:
        if address.uri is None:
            return address.index if isinstance(address, nodes.NodeAddress) else 0
        if address.uri not in self.session.namespaces:
            return None
        return self.session.namespaces.index(address.uri)


async def follow(session: Session, paths: Sequence[Start]) -> list[Found]:
    """The node at the end of each path. A server that cannot look has none of them. Raises `Unreachable`."""
    chunks = [paths[start : start + PATHS_PER_CALL] for start in range(0, len(paths), PATHS_PER_CALL)]
    return [found for chunk in chunks for found in await _follow(session, chunk)]


async def _follow(session: Session, paths: Sequence[Start]) -> list[Found]:
    doing = "looking for nodes by path"
    try:
        body = await session.send(requests.translate(paths), doing, NoAnswer)
    except (Refused, NoAnswer) as error:
        return [Quality(Grade.BAD, "config_error", f"path: {error.what}")] * len(paths)
    with translated(session.endpoint, doing):
        answer = ua_binary.struct_from_binary(ua.TranslateBrowsePathsToNodeIdsResponse, Buffer(body))
        answer.ResponseHeader.ServiceResult.check()
        results = list(answer.Results)
    if len(results) != len(paths):
        raise Unreachable(session.endpoint, f"{len(results)} nodes for {len(paths)} paths while {doing}")
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
