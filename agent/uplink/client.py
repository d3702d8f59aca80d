"""paho's client for one connection, with the places changed where its own way loses or blocks.

- The socket is ours: TCP_NODELAY, and closed when the TLS handshake fails.
- PUBACK is decoded here. paho 2.2 refuses reason codes that it does not expect in a PUBACK, 0x95 (packet too large,
  which mosquitto sends) among them, and ends the connection: the same record would be sent and refused for ever.
- What broke the socket is kept: paho drops OpenSSL's reason. Where sending fails, what came in is read first, because
  the reason stands there: the broker's DISCONNECT, or the alert by which TLS 1.3 refuses a client certificate.
- No thread. paho's own loop waits with `select`, which fails as soon as the process has more than 1,024 files open.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any, Literal

from paho.mqtt.client import CONNACK, Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

MqttVersion = Literal["5", "3.1.1"]

_MID_LENGTH = 2
_SUCCESS = 0


class NotMqtt(ConnectionError):
    """The other side speaks, but something else."""


class PahoClient(Client):
    """`acknowledged(mid, reason)` is called for every PUBACK, with the MQTT 5 reason code (0 on 3.1.1)."""

    def __init__(self, client_id: str, version: MqttVersion, acknowledged: Callable[[int, int], None]) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if version == "5" else True,
            protocol=MQTTv5 if version == "5" else MQTTv311,
            reconnect_on_failure=False,
        )
        self._acknowledged = acknowledged
        self._dropped = False
        self._server_name: str | None = None
        self._cannot_send = self._was_greeted = False
        self.socket_error: OSError | None = None
        # The window is ours. With one of its own, paho walks through everything in flight at every PUBACK.
        self.max_inflight_messages = 0

    def drop(self) -> None:
        """Close the socket without a word: the broker will send the will. Ends a dialling that is under way too."""
        self._dropped = True
        self._sock_close()

    def use_tls(self, context: ssl.SSLContext, server_name: str | None) -> None:
        """Speak TLS, with the certificate of this name where it is not that of the host."""
        self.tls_set_context(context)
        self._server_name = server_name

    def _create_socket(self) -> socket.socket:
        sock = socket.create_connection((self._host, self._port), self._connect_timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapped = sock if self._ssl_context is None else self._shake_hands(sock, self._ssl_context)
        except BaseException:
            sock.close()
            raise
        if self._dropped:
            wrapped.close()
            raise ConnectionAbortedError("nobody waits for this connection any more")
        return wrapped

    def _shake_hands(self, sock: socket.socket, context: ssl.SSLContext) -> socket.socket:
        """Raises `ssl.SSLError` without a reason where the other side just ends the connection, or says nothing."""
        try:
            return context.wrap_socket(sock, server_hostname=self._server_name or self._host)
        except (ConnectionError, TimeoutError) as error:
            raise ssl.SSLError(0, "no answer to the TLS handshake") from error

    def _sock_recv(self, bufsize: int) -> bytes:
        try:
            received = super()._sock_recv(bufsize)
            self._check_greeting(received)
        except BlockingIOError:
            raise
        except OSError as error:
            self.socket_error = error
            raise
        return received

    def _check_greeting(self, received: bytes) -> None:
        """Else paho would wait for as many bytes as a web server's words happen to announce."""
        if not self._was_greeted and received:
            self._was_greeted = True
            if received[0] != CONNACK:
                raise NotMqtt("the first byte is no CONNACK")

    def _sock_send(self, buf: bytes | bytearray) -> int:
        try:
            return super()._sock_send(buf)
        except BlockingIOError:
            raise
        except OSError as error:
            if self._cannot_send:
                raise
            self._cannot_send = True
            raise BlockingIOError from error

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet: Any = self._in_packet["packet"]
        if cmd != "PUBACK" or len(packet) < _MID_LENGTH:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        mid = int.from_bytes(packet[:_MID_LENGTH], "big")
        if self._out_messages.pop(mid, None) is None:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        self._inflight_messages -= 1
        self._acknowledged(mid, packet[_MID_LENGTH] if len(packet) > _MID_LENGTH else _SUCCESS)
        return MQTTErrorCode.MQTT_ERR_SUCCESS
