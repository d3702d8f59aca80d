"""A message as mail. One session with the mail server for each; certificates are always checked."""

from __future__ import annotations

import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING

import aiosmtplib

from agent.notice.failure import NoticeFailed

if TYPE_CHECKING:
    from agent.notice.message import Message
    from config.outward import Mail


async def send(way: Mail, message: Message) -> None:
    """Returns once the server has taken it for everybody. Raises `NoticeFailed`."""
    try:
        refused, _ = await aiosmtplib.send(
            written(way, message),
            hostname=way.host,
            port=way.port,
            username=way.user,
            password=way.password.reveal() if way.password else None,
            use_tls=way.security == "tls",
            start_tls=way.security == "starttls",
            tls_context=ssl.create_default_context(cafile=way.ca),
        )
    except LookupError as error:
        raise NoticeFailed(f"no password: {error.args[0]}; provide that secret") from error
    except aiosmtplib.SMTPAuthenticationError as error:
        raise NoticeFailed(f"the mail server refuses user {way.user} ({error.message}); check the password") from error
    except aiosmtplib.SMTPResponseException as error:
        raise NoticeFailed(f"the mail server says {error.code} {error.message}; check sender and to") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NoticeFailed(f"the mail server cannot be reached ({error}); check host, port, security and ca") from error
    if refused:
        raise NoticeFailed(f"the mail server takes no mail for {', '.join(sorted(refused))}; check to")


def written(way: Mail, message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = way.sender
    mail["To"] = ", ".join(way.to)
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=way.sender.partition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: so that no holiday notice comes back.
    mail.set_content(message.text)
    return mail
