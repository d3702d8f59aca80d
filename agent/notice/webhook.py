"""A message to a web server, as JSON. One connection for each; redirections are not followed."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import aiohttp

from agent.notice.failure import NoticeFailed

if TYPE_CHECKING:
    from agent.notice.message import Message
    from config.outward import Webhook

HTTP_OK = range(200, 300)


async def send(way: Webhook, message: Message) -> None:
    """Returns once the server has taken it. Raises `NoticeFailed`."""
    headers = {"Content-Type": "application/json"}
    try:
        if way.token is not None:
            headers["Authorization"] = f"Bearer {way.token.reveal()}"
        context = ssl.create_default_context(cafile=way.ca)
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                way.url, data=message.payload, headers=headers, ssl=context, allow_redirects=False
            ) as response,
        ):
            if response.status not in HTTP_OK:
                raise NoticeFailed(f"the web server answers {response.status}; check url and token")
    except LookupError as error:
        raise NoticeFailed(f"no token: {error.args[0]}; provide that secret") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise NoticeFailed(
            f"the web server's certificate is not accepted ({error.certificate_error}); set ca"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise NoticeFailed(f"the web server cannot be reached ({error}); check url and network") from error
