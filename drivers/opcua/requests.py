"""Every request that this package can send, and no other: none of them changes anything in a plant. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drivers.opcua.nodes import Identifier

KEEP_ALIVE_S = 2.0
"""How often a server with nothing to say is asked to say so."""
LIFE_S = 60.0
"""How long a server keeps a subscription whose gateway is silent."""
QUEUE_S = 5.0
QUEUE_MAX = 100
NOTIFICATIONS_PER_PUBLISH = 10_000
EVENTS_QUEUED = 1_000


@dataclass(frozen=True, slots=True)
class Deadband:
    """Changes up to this size are kept from us: in the unit of the node, or in percent of its range."""

    size: float
    percent: bool


def node_id(identifier: Identifier, namespace: int = 0) -> ua.NodeId:
    return ua.NodeId(cast("Any", identifier), cast("Any", namespace))


def read(
    nodes: Sequence[ua.NodeId], attribute: AttributeIds = AttributeIds.Value, max_age_s: float = 0.0
) -> ua.ReadRequest:
    """The values of `nodes` with both times, or another of their attributes. Can be sent again and again.

    A server that has asked its devices within `max_age_s` need not ask them again.
    """
    request = ua.ReadRequest()
    request.Parameters.MaxAge = cast("Any", max_age_s * 1000)
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=cast("Any", attribute)) for node in nodes]
    return request


def create_subscription(publishing_s: float) -> ua.CreateSubscriptionRequest:
    request = ua.CreateSubscriptionRequest()
    wanted = request.Parameters
    keep_alive_count = max(1, int(KEEP_ALIVE_S / publishing_s))
    wanted.RequestedPublishingInterval = cast("Any", publishing_s * 1000)
    wanted.RequestedMaxKeepAliveCount = cast("Any", keep_alive_count)
    wanted.RequestedLifetimeCount = cast("Any", max(3 * keep_alive_count, ceil(LIFE_S / publishing_s)))
    wanted.MaxNotificationsPerPublish = cast("Any", NOTIFICATIONS_PER_PUBLISH)
    wanted.PublishingEnabled = True
    return request


def translate(paths: Sequence[tuple[ua.NodeId, Sequence[tuple[int, str]]]]) -> ua.TranslateBrowsePathsToNodeIdsRequest:
    """Which nodes are at the end of these paths: where each begins, then namespace index and name of each step."""
    request = ua.TranslateBrowsePathsToNodeIdsRequest()
    request.Parameters.BrowsePaths = [
        ua.BrowsePath(start, ua.RelativePath([_step(*step) for step in steps])) for start, steps in paths
    ]
    return request


def _step(index: int, name: str) -> ua.RelativePathElement:
    hierarchical = node_id(ObjectIds.HierarchicalReferences)
    target = ua.QualifiedName(cast("Any", name), cast("Any", index))
    return ua.RelativePathElement(hierarchical, cast("Any", False), cast("Any", True), target)


def monitored_item(
    handle: int, node: ua.NodeId, sampling_s: float, deadband: Deadband | None = None
) -> ua.MonitoredItemCreateRequest:
    """Watch `node`; what the server reports of it carries `handle`."""
    wanted = ua.MonitoringParameters()
    wanted.ClientHandle = cast("Any", handle)
    wanted.SamplingInterval = cast("Any", sampling_s * 1000)
    # Two at least: with a queue of one, a server may drop values without a mark.
    wanted.QueueSize = cast("Any", min(QUEUE_MAX, max(2, ceil(QUEUE_S / sampling_s))))
    wanted.DiscardOldest = True
    if deadband is not None:
        kind = ua.DeadbandType.Percent if deadband.percent else ua.DeadbandType.Absolute
        trigger = ua.DataChangeTrigger.StatusValue
        wanted.Filter = ua.DataChangeFilter(trigger, cast("Any", int(kind)), cast("Any", deadband.size))
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=_value_of(node), MonitoringMode=ua.MonitoringMode.Reporting, RequestedParameters=wanted
    )


def events(handle: int, fields: Iterable[tuple[str, int]]) -> ua.MonitoredItemCreateRequest:
    """Watch all events of the server, with these fields of its conditions."""
    wanted = ua.MonitoringParameters()
    wanted.ClientHandle = cast("Any", handle)
    wanted.QueueSize = cast("Any", EVENTS_QUEUED)
    wanted.Filter = ua.EventFilter([_selected(name, type_) for name, type_ in fields])
    server = ua.ReadValueId(NodeId=node_id(ObjectIds.Server), AttributeId=cast("Any", AttributeIds.EventNotifier))
    return ua.MonitoredItemCreateRequest(server, ua.MonitoringMode.Reporting, wanted)


def _selected(name: str, type_: int) -> ua.SimpleAttributeOperand:
    path = [ua.QualifiedName(cast("Any", step)) for step in name.split("/") if step]
    attribute = AttributeIds.Value if path else AttributeIds.NodeId
    return ua.SimpleAttributeOperand(node_id(type_), path, cast("Any", attribute))


def condition_refresh(subscription: int) -> ua.CallRequest:
    """Have the server report its conditions to a subscription once more: the only call, and it changes no process."""
    request = ua.CallRequest()
    method = ua.CallMethodRequest()
    method.ObjectId = node_id(ObjectIds.ConditionType)
    method.MethodId = node_id(ObjectIds.ConditionType_ConditionRefresh)
    method.InputArguments = [ua.Variant(subscription, ua.VariantType.UInt32)]
    request.Parameters.MethodsToCall = [method]
    return request


def create_items(subscription: int, items: Sequence[ua.MonitoredItemCreateRequest]) -> ua.CreateMonitoredItemsRequest:
    request = ua.CreateMonitoredItemsRequest()
    request.Parameters.SubscriptionId = cast("Any", subscription)
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    request.Parameters.ItemsToCreate = list(items)
    return request


def publish(taken: Sequence[tuple[int, int]]) -> ua.PublishRequest:
    """Ask for the next notification; `taken` are subscription and number of those that need not be kept any more."""
    request = ua.PublishRequest()
    request.Parameters.SubscriptionAcknowledgements = [
        ua.SubscriptionAcknowledgement(cast("Any", subscription), cast("Any", number)) for subscription, number in taken
    ]
    return request


def close_session() -> ua.CloseSessionRequest:
    request = ua.CloseSessionRequest()
    request.DeleteSubscriptions = True
    return request


def _value_of(node: ua.NodeId) -> ua.ReadValueId:
    return ua.ReadValueId(NodeId=node, AttributeId=cast("Any", AttributeIds.Value))
