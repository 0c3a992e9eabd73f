"""Mail, by the standard library in a thread."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from typing_extensions import override

from farmctl.alarms.notify.message import Message, subject, text
from farmctl.alarms.notify.post import Sends
from farmctl.errors import AskHumanError, BackOffError, CredentialError, RefusedError

DEADLINE_S = 15.0
AUTH_REFUSED = 535
PERMANENT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail(Sends):
    """One server, one sender, some recipients."""

    site: str
    host: str
    port: int
    security: str
    """`starttls`, `tls` or `none`."""
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password: str = ""
    ca_file: Path | None = None

    @override
    async def send(self, delivery: str, message: Message) -> None:
        await asyncio.to_thread(self._send, delivery, message)

    def _send(self, delivery: str, message: Message) -> None:
        try:
            with self._opened() as server:
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(letter(self, delivery, message))
        except smtplib.SMTPAuthenticationError as error:
            raise CredentialError(f"{self.host}: the mail server refuses {self.user}") from error
        except smtplib.SMTPResponseException as error:
            said = f"{self.host}: {error.smtp_code} {error.smtp_error!r}"
            raise (RefusedError if error.smtp_code >= PERMANENT else BackOffError)(said) from error
        except smtplib.SMTPRecipientsRefused as error:
            raise RefusedError(f"{self.host}: no recipient is taken: {error.recipients}") from error
        except ssl.SSLError as error:
            raise AskHumanError(f"{self.host}: {error}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise BackOffError(f"{self.host}:{self.port}: {str(error) or type(error).__name__}") from error

    def _opened(self) -> smtplib.SMTP:
        trust = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file is not None else None)
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=DEADLINE_S, context=trust)
        server = smtplib.SMTP(self.host, self.port, timeout=DEADLINE_S)
        try:
            if self.security == "starttls":
                server.starttls(context=trust)
        except BaseException:
            server.close()
            raise
        return server


def letter(mail: Mail, delivery: str, message: Message) -> EmailMessage:
    """The mail as it is sent."""
    made = EmailMessage()
    made["Subject"] = subject(mail.site, message).replace("\n", " ")[:200]
    made["From"] = mail.sender
    made["To"] = ", ".join(mail.recipients)
    made["Date"] = format_datetime(datetime.fromtimestamp(message.at_ms / 1000, UTC))
    made["Message-ID"] = f"<{delivery}@{mail.sender.rpartition('@')[2]}>"
    if message.priority == 1:
        made["Importance"] = "high"
    made.set_content(text(mail.site, message))
    return made
