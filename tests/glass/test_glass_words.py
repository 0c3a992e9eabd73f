"""What a person types: commands that the CLI would take too, completion, history, and the settings of the glass."""

from __future__ import annotations

import shlex
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import click
import pytest

from benchmarks._glass import SyntheticFeed
from farmctl.cli import cli
from farmctl.errors import ConfigError, RefusedError
from farmctl.tui.chrome import title
from farmctl.tui.menu import Hand, orders_now
from farmctl.tui.orders import Draft
from farmctl.tui.prompt import LastWord, candidates
from farmctl.tui.settings import load_settings
from farmctl.tui.typed import drafted


class Sit(Protocol):
    def __call__(self, *size: int, **how: object) -> AbstractAsyncContextManager[Any]: ...


def parsed(line: str) -> click.Context:
    """What click makes of a line; a verb that it does not know fails here."""
    words = shlex.split(line)[1:]
    context: click.Context = click.Context(cli)
    command: click.Command = cli
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert name is not None
        assert found is not None
        command = found
    return command.make_context(command.name, words)


@pytest.mark.parametrize(
    "draft",
    [
        Draft(verb="override_set", to="20MW", lasting="90m", reason="it's hot"),
        Draft(verb="override_set", circuit="C017", to="85%", lasting="30m", reason="fans", confirm="site 07"),
        Draft(verb="override_release", override_id="ov-1", reason="over"),
        Draft(verb="stop_all", reason="smoke; C041"),
        Draft(verb="resume", reason="over", confirm="site-07"),
        Draft(verb="locate", selector="id=a1,b2", on=False, reason="fan"),
        Draft(verb="set_power", selector="cont=C041", to="2500W", lasting="2h", reason="heat"),
        Draft(verb="reboot", selector="cont=C041 state=fault", reason="hung"),
        Draft(verb="maintenance", container="C017", reason="filters"),
        Draft(verb="maintenance", on=False, reason="done"),
        Draft(verb="emergency_release", reason="dispatcher called", confirm="site-07"),
        Draft(verb="lease_take", lasting="2h", reason="night shift"),
        Draft(verb="lease_release", reason="over"),
    ],
)
def test_the_command_that_is_shown_is_one_that_the_cli_takes_and_the_glass_reads_back(draft: Draft) -> None:
    context = parsed(draft.command)
    assert context.params["reason"] == draft.reason
    if not draft.confirm:
        assert drafted(draft.command.removeprefix("farmctl ")) == draft


@pytest.mark.parametrize("line", ["fly", "curtail --faster", "override set 'C1"])
def test_a_line_that_cannot_be_read_says_what_was_expected(line: str) -> None:
    with pytest.raises(RefusedError, match=r"expected|quotation"):
        drafted(line)


async def test_the_last_word_is_completed_by_what_the_site_has() -> None:
    image = SyntheticFeed(300).image(None)
    commands = LastWord(("curtail --to 20MW",), lambda last: candidates(":", last, image))
    assert await commands.get_suggestion("cur") == "curtail --to 20MW"
    assert await commands.get_suggestion("override set F") == "override set F0"
    filters = LastWord((), lambda last: candidates("/", last, image))
    assert await filters.get_suggestion("t>85 sta") == "t>85 state="
    assert await filters.get_suggestion("!state=cur") == "!state=curtailed"
    assert await filters.get_suggestion("cont=C001 ") is None


async def test_what_was_asked_before_comes_back_and_saved_views_have_names(sit: Sit, tmp_path: Path) -> None:
    file = tmp_path / "tui.toml"
    file.write_text('theme = "hmi-light"\n[keys]\n"order.menu" = "X"\n[views]\nbad = "state=fault"\n')
    async with sit(settings=load_settings(file)) as seat:
        assert seat.app.theme == "hmi-light"
        for line in ("view bad", "theme hmi-dark"):
            await seat.press("colon")
            await seat.type(line)
            await seat.press("enter")
        assert (seat.app.theme, seat.app.glass.filter.text) == ("hmi-dark", "state=fault")
        await seat.press("colon", "up", "up")
        assert seat.app.glass.prompt.value == "view bad"
        await seat.press("down")
        assert seat.app.glass.prompt.value == "theme hmi-dark"
        await seat.press("escape", "1", "x")
        assert seat.app.screen is seat.app.glass
        await seat.press("X")
        assert seat.app.screen is not seat.app.glass


def test_settings_name_the_file_the_key_and_what_was_expected(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.toml").theme == "hmi-dark"
    file = tmp_path / "tui.toml"
    file.write_text(
        'theme = "pink"\ngrafana = "ftp://x"\ncolour = 1\n[keys]\nfly = "F"\n"see.zone" = "x"\n[views]\na = 1\n'
    )
    with pytest.raises(ConfigError) as error:
        load_settings(file)
    for words in (str(file), "colour", "'pink'", "hmi-light", "ftp", "keys.fly", "order.menu has that key", "[views]"):
        assert words in str(error.value), words
    file.write_text("theme = ")
    with pytest.raises(ConfigError, match=r"tui\.toml"):
        load_settings(file)


def test_the_menu_speaks_of_the_circuit_under_the_cursor_and_the_tab_of_the_site() -> None:
    image = SyntheticFeed(300).image(None)
    first, stop, *_ = orders_now(image, Hand(role="operator", circuit="F1"))
    assert first.text.startswith("Hold the whole site")
    assert (stop.text, stop.value.circuit, stop.value.to) == ("Stop F1 for a time", "F1", "0MW")
    assert stop.about == "$ farmctl override set F1 --to 0MW --for 30m --reason ..."
    assert title(image).startswith("(2) site-07 0.877/0.972 MW")
