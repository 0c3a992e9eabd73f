"""Which doors each family has: the one place where miners, fronts and ports meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never

from simulators.fronts.antminer import AntminerApi, AntminerWeb
from simulators.fronts.auradine import AuradineApi, AuradineWeb
from simulators.fronts.avalon import AvalonDoor, AvalonFront
from simulators.fronts.bitaxe import BitaxeWeb
from simulators.fronts.braiins import BraiinsApi, BraiinsWeb
from simulators.fronts.braiins_grpc import GrpcDoor, GrpcFront
from simulators.fronts.cgminer import CgminerDoor, Front
from simulators.fronts.door import Door
from simulators.fronts.epic import EpicApi, EpicPage
from simulators.fronts.http import HttpDoor, HttpReply, HttpRequest, WebFront
from simulators.fronts.luxos import LuxosFront
from simulators.fronts.vnish import VnishApi, VnishWeb
from simulators.fronts.whatsminer import WhatsminerFront
from simulators.fronts.whatsminer_v3 import FramedDoor, WhatsminerV3Front
from simulators.fronts.whatsminer_v3_reads import WhatsminerV3Reads
from simulators.personality import Family, Quirk

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
    found: tuple[Door, ...]
    match miner.personality.family:
        case Family.WHATSMINER:
            found = (_api(miner, WhatsminerFront(miner), allow_remote=allow_remote),)
        case Family.ANTMINER:
            found = _both(miner, AntminerApi(miner), AntminerWeb(miner), allow_remote=allow_remote)
        case Family.LUXOS:
            found = _both(miner, LuxosFront(miner), LuxosWeb(), allow_remote=allow_remote)
        case Family.WHATSMINER_V3:
            found = _whatsminer_v3(miner, allow_remote=allow_remote)
        case Family.AVALON:
            found = (_avalon(miner, allow_remote=allow_remote),)
        case Family.EPIC:
            found = (*_epic(miner, allow_remote=allow_remote), *_web(miner, EpicPage(), allow_remote=allow_remote))
        case Family.VNISH:
            found = _both(miner, VnishApi(miner), VnishWeb(miner), allow_remote=allow_remote)
        case Family.AURADINE:
            found = _both(miner, AuradineApi(miner), AuradineWeb(miner), allow_remote=allow_remote)
        case Family.BITAXE | Family.BRAIINS as other:
            found = _others(miner, other, allow_remote=allow_remote)
        case unknown:
            assert_never(unknown)
    return found


def _others(miner: SimMiner, family: Literal[Family.BITAXE, Family.BRAIINS], *, allow_remote: bool) -> tuple[Door, ...]:
    if family is Family.BITAXE:
        return _web(miner, BitaxeWeb(miner), allow_remote=allow_remote)
    both = _both(miner, BraiinsApi(miner), BraiinsWeb(miner), allow_remote=allow_remote)
    return (*both, _grpc(miner, allow_remote=allow_remote))


def _both(miner: SimMiner, api: Front, web: WebFront, *, allow_remote: bool) -> tuple[Door, ...]:
    return (_api(miner, api, allow_remote=allow_remote), *_web(miner, web, allow_remote=allow_remote))


def _grpc(miner: SimMiner, *, allow_remote: bool) -> Door:
    where, front = miner.endpoint, GrpcFront(miner)
    return Door(where.host, where.grpc, lambda: GrpcDoor(miner, front, allow_remote=allow_remote), is_api=False)


def _whatsminer_v3(miner: SimMiner, *, allow_remote: bool) -> tuple[Door, ...]:
    where, front = miner.endpoint, WhatsminerV3Front(miner)
    framed = Door(
        where.host,
        where.api3,
        lambda: FramedDoor(miner, front, allow_remote=allow_remote),
        is_api=False,
    )
    if Quirk.NO_PORT_4028 in miner.quirks:
        return (framed,)
    return (framed, _api(miner, WhatsminerV3Reads(miner), allow_remote=allow_remote))


def _avalon(miner: SimMiner, *, allow_remote: bool) -> Door:
    where, front = miner.endpoint, AvalonFront(miner)
    return Door(where.host, where.api, lambda: AvalonDoor(miner, front, allow_remote=allow_remote), is_api=True)


def _epic(miner: SimMiner, *, allow_remote: bool) -> tuple[Door, ...]:
    where, front = miner.endpoint, EpicApi(miner)
    return (Door(where.host, where.api, lambda: HttpDoor(miner, front, allow_remote=allow_remote), is_api=True),)


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
