"""The options with which a verb looks at a moment of the past instead of asking the controller."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

if TYPE_CHECKING:
    from farmctl.store.places import Place
    from farmctl.wiring.past import PastPicture

JOURNAL = "journal.db"
FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M")


class Moment(click.DateTime):
    """A date and time, refused in the words of people."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The moment; a usage error for anything else."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r}: expected a date and time (UTC) such as 2026-11-24T10:05", param, ctx)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A moment, and where it is recorded."""

    at: datetime
    journal: Place
    folder: Path
    """Where the recording is."""

    def picture(self) -> PastPicture:
        """The cycle of that moment, proved by replay; raises PastError."""
        from farmctl.wiring.past import past_picture  # noqa: PLC0415 - numpy comes with it

        return past_picture(self.folder, self.at)


def looking_back(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb --at and --journal; it gets them as `past`, None for the present."""

    @functools.wraps(verb)
    def looked(*, at: datetime | None, journal: Path | None, **rest: Any) -> Any:
        if at is None:
            if journal is not None:
                raise click.UsageError("--journal goes with --at: the present is asked of the controller")
            return verb(past=None, **rest)
        return verb(past=_past(at, journal, rest["door"].config_path), **rest)

    looked = click.option(
        "--journal", type=click.Path(exists=True, path_type=Path), help="With --at: the journal or its folder."
    )(looked)
    return click.option(
        "--at",
        type=Moment(FORMS),
        metavar="TIME",
        help="2026-11-24T10:05, UTC: the past, from the recording.",
    )(looked)


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


def _past(at: datetime, journal: Path | None, config_path: str | None) -> Past:
    if journal is None:
        from farmctl.cli.places import configuration, journal_of  # noqa: PLC0415 - only who names no journal pays

        loaded = configuration(config_path)
        return Past(at=_aware(at), journal=journal_of(loaded), folder=loaded.config.store.dir)
    file = journal / JOURNAL if journal.is_dir() else journal
    return Past(at=_aware(at), journal=file, folder=file.parent)
