"""The options with which a verb looks at a moment of the past instead of asking the controller."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from farmctl.wiring.past import PastPicture

JOURNAL = "journal.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A moment, and where it is recorded."""

    at: datetime
    journal: Path

    def picture(self) -> PastPicture:
        """The cycle of that moment, proved by replay; raises PastError."""
        from farmctl.wiring.past import past_picture  # noqa: PLC0415 - numpy comes with it

        return past_picture(self.journal, self.at)


def looking_back(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb --at and --journal; it gets them as `past`, None for the present."""

    @functools.wraps(verb)
    def looked(*, at: datetime | None, journal: Path | None, **rest: Any) -> Any:
        if at is None:
            if journal is not None:
                raise click.UsageError("--journal goes with --at: the present is asked of the controller")
            return verb(past=None, **rest)
        return verb(past=Past(at=_aware(at), journal=_file(journal, rest["door"].config_path)), **rest)

    looked = click.option(
        "--journal", type=click.Path(exists=True, path_type=Path), help="With --at: the journal or its folder."
    )(looked)
    moment = click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M"])
    return click.option("--at", type=moment, default=None, help="A moment of the past, UTC, from the recording.")(
        looked
    )


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


def _file(journal: Path | None, config_path: str | None) -> Path:
    if journal is None:
        from farmctl.cli.places import configuration, journal_of  # noqa: PLC0415 - only who names no journal pays

        journal = journal_of(configuration(config_path))
    return journal / JOURNAL if journal.is_dir() else journal
