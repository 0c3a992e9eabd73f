"""Anything that Apprise speaks: chat, SMS, push; an extra, imported when the first message goes out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from typing_extensions import override

from farmctl.alarms.notify.message import Message, subject, text
from farmctl.alarms.notify.post import Sends
from farmctl.errors import AskHumanError, BackOffError

DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat(Sends):
    """Some Apprise URLs; they carry secrets and are never shown."""

    site: str
    urls: tuple[str, ...] = field(repr=False)

    @override
    async def send(self, delivery: str, message: Message) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                sent = await asyncio.to_thread(self._send, message)
        except TimeoutError as error:
            raise BackOffError(f"apprise: no answer within {DEADLINE_S:.0f} s") from error
        if not sent:
            raise BackOffError("apprise: at least one of its addresses did not take the message")

    def _send(self, message: Message) -> bool:
        try:
            import apprise  # noqa: PLC0415 - 0.2 s, and an extra
        except ImportError as error:
            raise AskHumanError("apprise is missing: pip install 'farmctl[notify]'") from error
        room = apprise.Apprise()
        for url in self.urls:
            if not room.add(url):
                raise AskHumanError("apprise: one of the addresses in urls_file is none that it knows")
        kind = apprise.NotifyType.FAILURE if message.priority == 1 else apprise.NotifyType.INFO
        return bool(room.notify(title=subject(self.site, message), body=text(self.site, message), notify_type=kind))
