"""Which doors each family has: the one place where miners, fronts and ports meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from simulators.fronts.antminer import AntminerApi, AntminerWeb
from simulators.fronts.cgminer import CgminerDoor, Front
from simulators.fronts.door import Door
from simulators.fronts.http import HttpDoor, HttpReply, HttpRequest, WebFront
from simulators.fronts.luxos import LuxosFront
from simulators.fronts.whatsminer import WhatsminerFront
from simulators.personality import Family

if TYPE_CHECKING:
    from simulators.miner import SimMiner

LUXOS_PAGE = b"<html><title>Luxor Firmware</title></html>"


class LuxosWeb:
    """The page by which scanners know LuxOS."""

    def answer(self, request: HttpRequest) -> HttpReply:
        """Return the front page, whatever was asked."""
        return HttpReply(200 if request.path == "/" else 404, LUXOS_PAGE, "text/html")


def doors(miner: SimMiner, *, allow_remote: bool) -> tuple[Door, ...]:
    """Make the closed doors of one miner."""
    match miner.personality.family:
        case Family.WHATSMINER:
            return (_api(miner, WhatsminerFront(miner), allow_remote=allow_remote),)
        case Family.ANTMINER:
            web: WebFront = AntminerWeb(miner)
            api = _api(miner, AntminerApi(miner), allow_remote=allow_remote)
            return (api, *_web(miner, web, allow_remote=allow_remote))
        case Family.LUXOS:
            api = _api(miner, LuxosFront(miner), allow_remote=allow_remote)
            return (api, *_web(miner, LuxosWeb(), allow_remote=allow_remote))
        case other:
            assert_never(other)


def _api(miner: SimMiner, front: Front, *, allow_remote: bool) -> Door:
    where = miner.endpoint
    return Door(
        where.host,
        where.api,
        lambda: CgminerDoor(miner, front, allow_remote=allow_remote),
        is_api=True,
    )


def _web(miner: SimMiner, front: WebFront, *, allow_remote: bool) -> tuple[Door, ...]:
    where = miner.endpoint
    if not where.http:
        return ()
    return (
        Door(
            where.host,
            where.http,
            lambda: HttpDoor(miner, front, allow_remote=allow_remote),
            is_api=False,
        ),
    )
