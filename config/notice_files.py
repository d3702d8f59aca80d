"""What may be written in `gateway.yaml` under `notify`: whom to tell on the spot of alarms that no platform has."""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003 (pydantic reads it at run time)
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from config.errors import ConcealedError
from config.fields import HOST_NAME, Duration, Password, Spec

MAIL_ADDRESS = r"[^\s@<>,]+@[^\s@<>,]+"


def _mail_address(text: str) -> str:
    if not re.fullmatch(MAIL_ADDRESS, text):
        raise ValueError("not a mail address; write NAME@HOST")
    return text


MailAddress = Annotated[str, AfterValidator(_mail_address)]


def _web_address(url: str) -> str:
    hint = "write http://HOST/PATH or https://HOST/PATH"
    if "@" in url:
        raise ConcealedError(f"a user or password in the address; {hint}, and a token as a key of its own")
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError(f"not a web address; {hint}")
    return url


class WebhookSpec(Spec):
    """A web server that takes the alarms as JSON. Without `ca`, its certificate must be of the system's authorities."""

    url: Annotated[str, AfterValidator(_web_address), Field(description="https://HOST/PATH")]
    token: Password | None = None
    ca: Path | None = None


class MailSpec(Spec):
    """A mail server and who gets the mail."""

    host: Annotated[str, Field(pattern=HOST_NAME)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Annotated[Literal["starttls", "tls", "none"], Field(description="starttls, tls or none")] = "starttls"
    sender: MailAddress
    to: Annotated[list[MailAddress], Field(min_length=1, max_length=20)]
    user: str | None = None
    password: Password | None = None
    ca: Path | None = None

    @model_validator(mode="after")
    def _user_with_password(self) -> MailSpec:
        if (self.user is None) != (self.password is None):
            missing, other = ("user", "password") if self.user is None else ("password", "user")
            raise ValueError(f"{other} without {missing}; write both")
        return self


class NotifySpec(Spec):
    """One way to tell people on the spot. Exactly one of `webhook` and `smtp`."""

    webhook: WebhookSpec | None = None
    smtp: MailSpec | None = None
    after: Annotated[Duration, Field(le=600)] = 10.0
    max_per_hour: Annotated[int, Field(ge=1, le=3600)] = 60

    @model_validator(mode="after")
    def _one_way(self) -> NotifySpec:
        if (self.webhook is None) == (self.smtp is None):
            raise ValueError("not one way; write exactly one of webhook and smtp")
        return self
