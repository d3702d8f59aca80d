"""How much a server may send us. asyncua takes whatever is announced: a frame of four gigabytes, a message without end.

The limits that we name when we say hello bind an honest server only; here they bind all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua.ua.uaerrors import UaError

if TYPE_CHECKING:
    from asyncua.client.client import Client
    from asyncua.client.ua_client import UASocketProtocol

FRAME_BYTES_MAX = 1024 * 1024
"""We ask for at most 65,535; some servers round up."""
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
FRAMES_MAX = 8192
"""Of one message: frames without content would not count as bytes."""

_HEADER_BYTES = 8


def bound_frames(client: Client) -> None:
    """Before connecting: end the connection when a frame is announced that is too large, instead of collecting it."""
    make = client.uaclient._make_protocol  # noqa: SLF001 - the library has no hook in front of its buffer

    def bounded() -> UASocketProtocol:
        protocol = make()
        take = protocol.data_received

        def data_received(data: bytes) -> None:
            take(data)
            _check(protocol)

        protocol.data_received = data_received  # type: ignore[method-assign]  # see above
        return protocol

    client.uaclient._make_protocol = bounded  # type: ignore[method-assign]  # noqa: SLF001 - see above


def bound_messages(client: Client) -> None:
    """After the hello: what the server announced holds where it is less."""
    protocol = client.uaclient.protocol
    assert protocol is not None, "the socket is open"
    limits = protocol._connection._limits  # noqa: SLF001 - the library believes whatever the server announces
    limits.max_message_size = min(limits.max_message_size or MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX)
    limits.max_chunk_count = min(limits.max_chunk_count or FRAMES_MAX, FRAMES_MAX)
    limits.max_recv_buffer = min(limits.max_recv_buffer or FRAME_BYTES_MAX, FRAME_BYTES_MAX)


def _check(protocol: UASocketProtocol) -> None:
    """Of a frame that is not whole yet, only the beginning is there."""
    begun = protocol.receive_buffer
    if begun is None or len(begun) < _HEADER_BYTES or protocol.transport is None:
        return
    announced = int.from_bytes(begun[4:8], "little")
    if announced > FRAME_BYTES_MAX:
        protocol._fail_all_pending(UaError(f"a frame of {announced} bytes was announced"))  # noqa: SLF001 - see above
        protocol.receive_buffer = None
        protocol.transport.abort()
