"""Nothing is ordered by a key alone: preview, reason and, where it is large, the site's name come first."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from itertools import product
from typing import Any, Protocol

import pytest
from textual import events
from textual.widgets import Button, Input

from farmctl.ports.feed import LinkState
from farmctl.tui.keys import KEYS, PAGES
from farmctl.tui.modals.order import OrderScreen


class Sit(Protocol):
    def __call__(self, *size: int, **how: object) -> AbstractAsyncContextManager[Any]: ...


async def test_no_key_on_any_screen_orders_anything_by_itself(sit: Sit, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    async with sit() as seat:
        for page, key in product(PAGES, KEYS):
            everywhere = set(PAGES) <= key.pages and not key.orders
            if key.id == "go.quit" or (everywhere and page != "overview"):
                continue  # what is the same everywhere is pressed once
            if seat.app.glass.page != page:
                seat.app.action_page(page)
            await seat.strike(key.key)
            assert seat.feed.orders == [], (page, key.id)
            while seat.app.screen is not seat.app.glass:
                await seat.strike("enter")
                await seat.strike("escape")
            if seat.app.glass.query_one("#ask").has_class("-on"):
                await seat.strike("escape")
            assert [path for _, path, _ in seat.feed.orders if path == "/v1/commands"] == [], (page, key.id)
            seat.feed.asked.clear()


async def test_an_order_is_sent_once_it_was_previewed_and_explained(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("o")
        assert seat.app.screen.query_one("#cancel", Button).has_focus
        seat.app.screen.query_one("#to", Input).value = "400kW"
        await seat.pilot.click("#preview")
        await seat.settle()
        assert seat.app.screen.query_one("#send", Button).disabled
        seat.app.screen.query_one("#reason", Input).value = "feeder work"
        await seat.settle()
        await seat.pilot.click("#send")
        await seat.settle()
        ((method, path, body),) = seat.feed.orders
        assert (method, path, body["verb"], body["reason"]) == ("POST", "/v1/commands", "override_set", "feeder work")
        assert body["params"] == {"target_kw": 400.0, "expires_at": "2026-11-24T10:00:00+00:00"}
        assert body["idempotency_key"]
        assert body["if_rev"] == seat.feed.rev
        command = "farmctl override set --to 400kW --for 1h --reason 'feeder work'"
        assert list(seat.app.glass.commands.values()) == [command]


async def test_what_is_typed_faster_than_the_glass_paints_goes_into_the_command_line(sit: Sit) -> None:
    async with sit() as seat:
        for key in ("colon", "h", "o", "l", "d", "q"):
            seat.app.post_message(events.Key(key, ":" if key == "colon" else key))
        await seat.settle()
        assert seat.app.glass.prompt.value == "holdq"
        assert seat.app.is_running


async def test_keys_that_come_faster_than_the_glass_paints_choose_from_the_menu_that_they_opened(sit: Sit) -> None:
    async with sit() as seat:
        before = seat.app.glass.page
        for key in ("x", "down", "escape", "colon", "x"):
            seat.app.post_message(events.Key(key, key[0]))
        await seat.settle()
        assert (seat.app.glass.prompt.value, seat.app.glass.page) == ("x", before)
        assert seat.app.screen is seat.app.glass


async def test_a_large_order_needs_the_name_of_the_site(sit: Sit) -> None:
    async with sit() as seat:
        seat.feed.confirm = "site-07"
        await seat.press("colon")
        await seat.type("stop-all --reason fire")
        await seat.press("enter")
        assert isinstance(seat.app.screen, OrderScreen)
        await seat.settle()
        name = seat.app.screen.query_one("#confirm", Input)
        assert seat.app.screen.query_one("#confirm-field").display
        sendable = []
        for typed in ("", "site-70", "site-07"):
            name.value = typed
            await seat.settle()
            sendable.append(not seat.app.screen.query_one("#send", Button).disabled)
        assert sendable == [False, False, True]
        await seat.pilot.click("#send")
        await seat.settle()
        ((_, _, body),) = seat.feed.orders
        assert body["verb"] == "stop_all"


async def test_an_order_that_has_become_large_since_its_preview_comes_back_with_what_was_typed(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("colon")
        await seat.type("curtail --to 20kW --for 2h --reason 'feeder work'")
        await seat.press("enter")
        await seat.settle()
        assert not seat.app.screen.query_one("#confirm-field").display
        seat.feed.confirm = "site-07"
        await seat.pilot.click("#send")
        await seat.settle()
        assert isinstance(seat.app.screen, OrderScreen)
        assert "Not sent, the site has moved since the preview" in seat.text()
        assert seat.app.screen.query_one("#cancel", Button).has_focus
        fields = {name: seat.app.screen.query_one(f"#{name}", Input) for name in ("to", "lasting", "reason", "confirm")}
        assert [box.value for box in fields.values()] == ["20kW", "2h", "feeder work", ""]
        assert seat.app.screen.query_one("#confirm-field").display
        fields["confirm"].value = "site-07"
        await seat.settle()
        await seat.pilot.click("#send")
        await seat.settle()
        assert seat.app.screen is seat.app.glass
        (_, _, first), (_, _, second) = seat.feed.orders
        assert first["idempotency_key"] != second["idempotency_key"]
        assert second["params"]["confirm"] == "site-07"


async def test_a_change_after_the_preview_must_be_previewed_again(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("colon")
        await seat.type("curtail --to 20kW --reason test")
        await seat.press("enter")
        await seat.settle()
        assert not seat.app.screen.query_one("#send", Button).disabled
        seat.app.screen.query_one("#to", Input).value = "200kW"
        await seat.settle()
        assert seat.app.screen.query_one("#send", Button).disabled


@pytest.mark.parametrize("how", [{"role": "viewer"}, {"read_only": True}])
async def test_a_viewer_sees_greyed_actions_and_reaches_none(sit: Sit, how: dict[str, object]) -> None:
    async with sit(**how) as seat:
        assert "READ-ONLY" in seat.text()
        for action in ("order_override", "ack", "shelve"):
            assert seat.app.check_action(action, ()) is None
        await seat.press("o", "a", "s")
        assert seat.app.screen is seat.app.glass
        await seat.press("x")
        why = "takes an operator" if "role" in how else "this glass is read-only"
        assert f"Put every miner of the site to sleep  ({why})" in seat.text()
        await seat.press("down", "down", "enter")
        assert seat.app.screen is seat.app.glass
        await seat.press("colon")
        await seat.type("stop-all --reason test")
        await seat.press("enter")
        assert seat.app.screen is seat.app.glass
        assert seat.feed.orders == []


async def test_a_lost_link_keeps_the_picture_and_forbids_orders(sit: Sit) -> None:
    async with sit() as seat:
        seat.feed.link(LinkState(up=False, age_s=14.0, attempt=3, why="connection refused"))
        await seat.settle()
        assert "STALE 14s - reconnecting (3)" in seat.text()
        assert "circuit_overload" in seat.text()
        assert seat.app.check_action("order_override", ()) is None
        await seat.press("x")
        assert "(the picture is stale)" in seat.text()
        assert "farmctl stop-all works with the" in seat.text()
        await seat.press("escape")
        seat.feed.link(LinkState(up=True, age_s=0.0, attempt=0, why=""))
        await seat.hear()
        assert "STALE" not in seat.text()
        assert seat.app.check_action("order_override", ()) is True


async def test_silence_is_stale_even_if_nobody_says_that_the_link_is_down(sit: Sit) -> None:
    async with sit() as seat:
        await seat.wait(5.0)
        assert "STALE 5s" in seat.text()
        assert seat.app.check_action("order_override", ()) is None


async def test_a_p1_is_not_shelved_and_others_need_a_reason(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("4", "s")
        assert seat.app.screen is seat.app.glass
        assert "cannot be shelved" in seat.text()
        await seat.press("down", "s", "enter")
        assert seat.feed.orders == []
        await seat.type("fan on order")
        await seat.press("enter")
        ((method, path, body),) = seat.feed.orders
        assert (method, path) == ("POST", "/v1/alarms/circuit_near_limit%40C001/shelve")
        assert body == {"reason": "fan on order", "until": "2026-11-24T10:00:00+00:00"}


async def test_every_alarm_on_the_screen_is_acknowledged_at_once_and_no_other(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("4", "A")
        assert "Acknowledge the 3 alarms on this screen" in seat.text()
        assert seat.feed.orders == []
        await seat.press("enter")
        paths = [path for _, path, _ in seat.feed.orders]
        assert [path.split("/")[3].partition("%40")[0] for path in paths] == [
            "circuit_overload", "circuit_near_limit", "reject_ratio",
        ]  # fmt: skip


@pytest.mark.parametrize("role", ["operator", "engineer"])
async def test_the_menu_says_what_each_order_does_and_who_may_give_it(sit: Sit, role: str) -> None:
    async with sit(role=role) as seat:
        await seat.press("3", "asterisk", "x")
        text = seat.text()
        assert "Blink the light of 300 chosen miners  (more than 100: narrow the filter" in text
        assert ("Release the latched EMERGENCY, on the dispatcher's word  (none is latched)") in text
        await seat.press("escape", "asterisk", "space", "x")
        assert ("Restart the control board of the miner under the cursor  (takes an engineer)" in seat.text()) is (
            role == "operator"
        )
        await seat.press("down", "down", "down")
        assert "$ farmctl miners locate -l id=000000000000 --reason ..." in seat.text()
        await seat.press("enter")
        assert "miners  1: 000000000000" in seat.text()
        seat.app.screen.query_one("#reason", Input).value = "find it"
        await seat.settle()
        await seat.pilot.click("#send")
        await seat.settle()
        ((_, _, body),) = seat.feed.orders
        assert (body["verb"], body["selector"], body["params"]) == ("locate", "id=000000000000", {"on": True})


async def test_single_miners_are_held_at_a_power_from_the_menu(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("3", "space", "space", "x", "down", "down", "enter")
        for field, text in (("to", "2500W"), ("reason", "heat")):
            seat.app.screen.query_one(f"#{field}", Input).value = text
        await seat.settle()
        await seat.pilot.click("#preview")
        await seat.settle()
        await seat.pilot.click("#send")
        await seat.settle()
        ((_, _, body),) = seat.feed.orders
        assert (body["verb"], body["selector"]) == ("set_power", "id=000000000000,000000000001")
        assert body["params"] == {"power_w": 2_500.0, "expires_at": "2026-11-24T10:00:00+00:00"}
        command = "farmctl miners set-power -l id=000000000000,000000000001 --to 2500W --for 1h --reason heat"
        assert list(seat.app.glass.commands.values()) == [command]


async def test_maintenance_and_lease_are_previewed_by_what_they_mean(sit: Sit) -> None:
    async with sit() as seat:
        for line, words in (
            ("maintenance on --container C001 --reason filters", "none of them is started by itself"),
            ("lease take --for 2h --reason night", "others may only look and stop the site"),
        ):
            await seat.press("colon")
            await seat.type(line)
            await seat.press("enter")
            await seat.settle()
            assert words in seat.text()
            await seat.pilot.click("#send")
            await seat.settle()
        (_, path, order), (_, lease, held) = seat.feed.orders
        assert (path, order["params"]) == ("/v1/commands", {"on": True, "containers": ["C001"]})
        assert (lease, held) == ("/v1/control/lease", {"reason": "night", "expires_at": "2026-11-24T11:00:00+00:00"})


async def test_keys_can_be_given_away_by_their_ids() -> None:
    ids = [key.id for key in KEYS]
    assert len(ids) == len(set(ids))
    assert len({key.key for key in KEYS}) == len(KEYS)
    assert not any(key.key.startswith(("f1", "f2", "ctrl+c", "ctrl+q", "ctrl+s")) for key in KEYS)
