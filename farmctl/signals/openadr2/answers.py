"""Which events the VTN wants an answer about, what the answer is, and what was said already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from farmctl.signals._intake.shape import JsonObject

OptType = Literal["optIn", "optOut"]
MOST_KEPT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Opt:
    """One answer about one modification of one event."""

    event_id: str
    modification: int
    request_id: str
    wanted: bool
    """False where the VTN asks for no answer."""
    opt_type: OptType | None = None
    """None: not decided yet."""
    said: OptType | None = None


class Opts:
    """The answers about all events that were heard of."""

    def __init__(self) -> None:
        self._opts: dict[str, Opt] = {}

    def heard(self, events: Iterable[JsonObject], request_id: str) -> None:
        """A distribution: a new modification needs a new answer."""
        for event in events:
            descriptor = event.get("event_descriptor")
            if not isinstance(descriptor, dict):
                continue
            event_id, modification = str(descriptor.get("event_id")), descriptor.get("modification_number")
            number = modification if isinstance(modification, int) else 0
            known = self._opts.get(event_id)
            gone = descriptor.get("event_status") == "cancelled"
            if known is None or known.modification != number:
                self._opts[event_id] = Opt(
                    event_id=event_id,
                    modification=number,
                    request_id=request_id,
                    wanted=event.get("response_required") == "always",
                    opt_type="optIn" if gone else None,
                )
            else:
                self._opts[event_id] = replace(known, request_id=request_id)
        for event_id in list(self._opts)[:-MOST_KEPT]:
            del self._opts[event_id]

    def change(self, event_id: str, opt_type: OptType) -> None:
        """The site decided; an optOut is not taken back by a repeat of the same event."""
        known = self._opts.get(event_id)
        if known is not None and known.opt_type != "optOut":
            self._opts[event_id] = replace(known, opt_type=opt_type)

    def owed(self) -> list[Opt]:
        """Answers that were decided and not said."""
        return [o for o in self._opts.values() if o.wanted and o.opt_type is not None and o.said != o.opt_type]

    def said(self, opts: Iterable[Opt]) -> None:
        """These answers have reached the VTN."""
        for opt in opts:
            known = self._opts.get(opt.event_id)
            if known is not None and known.modification == opt.modification:
                self._opts[opt.event_id] = replace(known, said=opt.opt_type)
