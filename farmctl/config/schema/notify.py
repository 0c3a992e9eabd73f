"""[[notify]]: who is told of alarms and of what the site does, and by which way."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from farmctl.config.schema.kinds import Endpoint, Label, SitePath, Switch, Table, Text

Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]
Address = Annotated[str, Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$", max_length=200)]
Hours = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$")]


class NotifyTable(Table):
    """One channel; messages wait in a file until they are delivered."""

    name: Label
    """Name of the channel in the log, the alarms and farmctl notify test."""
    kind: Literal["webhook", "smtp", "apprise"]
    """How it arrives: a JSON webhook, mail, or anything that Apprise speaks (extra notify)."""
    url: Url | None = None
    """webhook: where the JSON is posted."""
    secret_file: SitePath | None = None
    """webhook: file with the HMAC-SHA256 key of the X-Farmctl-Signature header, mode 0600, or credential:NAME."""
    ca_file: SitePath | None = None
    """Certificate authority of the receiver; left out: those of the system."""
    server: Endpoint | None = None
    """smtp: host and port of the mail server."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """smtp: how the connection is protected; none only on a network that is trusted."""
    user: Text | None = None
    """smtp: user name; left out: no login."""
    password_file: SitePath | None = None
    """smtp: file with the password of user, mode 0600, or credential:NAME."""
    sender: Address | None = None
    """smtp: address that the mail comes from."""
    recipients: tuple[Address, ...] = ()
    """smtp: addresses that it goes to."""
    urls_file: SitePath | None = None
    """apprise: file with one Apprise URL a line, mode 0600: they carry secrets."""
    lowest_priority: Annotated[int, Field(strict=True, ge=1, le=4)] = 2
    """Alarms down to this priority are sent: 2 sends P1 and P2."""
    lifecycle: Switch = True
    """True: also events, modes, overrides, floods and fail-safe."""
    quiet: Hours | None = None
    """Site time in which nothing but P1 is sent, such as 22:00-06:00; the rest waits for its end."""
    per_hour: Annotated[int, Field(strict=True, ge=1, le=3600)] = 60
    """Most messages an hour; what is over is counted in the next one, P1 is never held back."""
