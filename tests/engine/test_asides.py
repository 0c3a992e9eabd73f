"""What people look at and control does not use: how hot a machine may get, by whose word."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import numpy as np

from farmctl.core.model import MinerId
from farmctl.engine.asides import FACTS_S, HeatLimits
from farmctl.ports.devices import Facts, Identity

WHO = Identity(miner_id=MinerId("m"), driver="luxos", model="S19k Pro", firmware="f")
FACTS = Facts(identity=WHO, pools=(), boards=3, nominal_hash_rate_hs=math.nan, nominal_power_w=math.nan)


async def test_a_machines_own_limit_beats_the_table_and_is_asked_for_in_any_thread() -> None:
    now_s = [0.0]
    facts = {1: replace(FACTS, limit_c=80.0), 2: FACTS}
    limits = HeatLimits(np.array([70.0, 70.0, math.nan]), facts, lambda: now_s[0])
    told = await asyncio.to_thread(limits.limit_c)
    assert told.tolist()[:2] == [70.0, 80.0]
    assert math.isnan(told[2])
    facts[0] = replace(FACTS, limit_c=75.0)
    assert limits.limit_c()[0] == 70.0
    now_s[0] = FACTS_S
    assert limits.limit_c()[0] == 75.0
    assert (await asyncio.to_thread(HeatLimits(np.array([70.0]), {}).limit_c)).tolist() == [70.0]
