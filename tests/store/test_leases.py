"""Who may raise power where: one holder per shard, a fence in the database, a deadline before each write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from benchmarks._lease_site import CAP_W, SITE, prepared
from benchmarks._postgresql import Cluster
from benchmarks.leases import chaos
from drivers._wire.cgminer import DEADLINES
from farmctl.core.model import MinerId
from farmctl.store.fenced import FencedWrites, OverCapError, Wish
from farmctl.store.leases import FencedError, Lease, LeaseKeeper, Terms
from farmctl.store.postgres import pool_of

SHARDS = 4
SHARE_W = CAP_W / SHARDS


class HandClock:
    """Boot time that a test moves; the database's own clock goes on regardless."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    await prepared(dsn, SHARDS)
    made = await pool_of(dsn, 4)
    yield made
    await made.close()


async def held(pool: asyncpg.Pool, name: str = "one", clock: HandClock | None = None) -> tuple[LeaseKeeper, Lease]:
    keeper = LeaseKeeper(pool, name, Terms(), clock or HandClock())
    for _ in range(2):  # a claim, and the lease that comes of it
        await keeper.beat()
    return keeper, keeper.held["C000"]


async def expire(pool: asyncpg.Pool) -> None:
    # one moment for all: the clock moves from row to row, and the rows lie in no order
    await pool.execute("UPDATE shard_lease SET expires_at = now() - interval '1 s'")


def wish(target_w: float = 1.0) -> Wish:
    return Wish(miner_id=MinerId("aa:01"), action="full", target_w=target_w)


async def commands(pool: asyncpg.Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM command"))


async def test_workers_share_the_shards_and_a_newcomer_gets_its_part_once_the_others_let_go(pool: asyncpg.Pool) -> None:
    one, two = LeaseKeeper(pool, "one"), LeaseKeeper(pool, "two")
    await one.beat()
    assert sorted(one.held) == ["C000", "C001", "C002", "C003"]
    await two.beat()
    assert not two.held
    await one.beat()
    assert sorted(one.held) == ["C000", "C001"]
    await two.beat()
    assert not two.held, "what was under way may take as long as the guard"
    await pool.execute("UPDATE shard_lease SET expires_at = clock_timestamp() WHERE shard_id IN ('C002', 'C003')")
    await two.beat()
    assert {shard: lease.epoch for shard, lease in two.held.items()} == {"C002": 2, "C003": 2}


async def test_the_deadline_counts_from_before_the_renewal_was_sent_and_ends_a_guard_early(pool: asyncpg.Pool) -> None:
    clock = HandClock()
    keeper, lease = await held(pool, clock=clock)
    assert lease.deadline_s == 1_000.0 + 9.0 - 3.0
    clock.now_s = 1_005.9
    assert keeper.may_send(lease)
    clock.now_s = 1_006.0
    assert not keeper.may_send(lease)
    await keeper.beat()
    assert keeper.may_send(lease), "renewed in time by the database's clock: the same epoch goes on"


async def test_a_claim_gives_no_right_to_send_before_it_is_renewed_and_ends_soon_where_it_is_not(
    pool: asyncpg.Pool,
) -> None:
    keeper = LeaseKeeper(pool, "one", Terms())
    await keeper.beat()
    claim = keeper.held["C000"]
    assert not keeper.may_send(claim)
    left_s = await pool.fetchval(
        "SELECT extract(epoch FROM max(expires_at) - clock_timestamp())::float8 FROM shard_lease"
    )
    assert left_s <= Terms().ttl_s / 2
    await keeper.beat()
    assert keeper.may_send(keeper.held["C000"])
    assert keeper.held["C000"].epoch == claim.epoch


async def test_a_lease_as_short_as_the_configuration_allows_has_a_guard_above_every_answer_of_a_miner() -> None:
    for lease_s in (5.0, 6.0, 60.0):
        terms = Terms.of(lease_s)
        assert terms.guard_s > DEADLINES.answer_s
        assert terms.guard_s >= terms.ttl_s / 4
        assert terms.ttl_s - terms.guard_s > 1.5 * terms.renew_s, "one renewal may be late"


async def test_a_stale_epoch_writes_nothing_and_is_told_so(pool: asyncpg.Pool) -> None:
    writes = FencedWrites(pool)
    _, old = await held(pool)
    await writes.raise_power(old, 1, [wish(), wish()], SHARE_W)
    await expire(pool)
    _, new = await held(pool, "two")
    assert new.epoch == old.epoch + 1
    with pytest.raises(FencedError):
        await writes.raise_power(old, 1, [wish()], SHARE_W)
    with pytest.raises(FencedError):
        await writes.give(old, 0.0, 0.0)
    with pytest.raises(FencedError):
        await writes.take(old, 0.0)
    await writes.raise_power(new, 1, [wish()], SHARE_W)
    assert await commands(pool) == 3
    await writes.lower("C000", old.epoch, 1, [wish()])
    assert await commands(pool) == 4, "lowering needs no lease"


@pytest.mark.parametrize("what", ["expired lease", "old plan", "expired plan", "no headroom"])
async def test_raising_needs_a_live_lease_the_newest_plan_and_headroom(pool: asyncpg.Pool, what: str) -> None:
    writes = FencedWrites(pool)
    _, lease = await held(pool)
    rev, worst_w = 1, SHARE_W
    match what:
        case "expired lease":
            await expire(pool)
        case "old plan":
            await writes.publish(SITE, 2, CAP_W, 60.0, "test")
        case "expired plan":
            await writes.publish(SITE, rev := 2, CAP_W, -1.0, "test")
        case _:
            worst_w += 1.0
    with pytest.raises(FencedError):
        await writes.raise_power(lease, rev, [wish()], worst_w)
    assert await commands(pool) == 0


async def test_a_share_moves_only_after_the_giver_confirmed_and_never_over_the_cap(pool: asyncpg.Pool) -> None:
    writes = FencedWrites(pool)
    keeper, giver = await held(pool)
    taker = keeper.held["C001"]
    with pytest.raises(OverCapError):
        await writes.take(taker, 1_000.0)
    with pytest.raises(FencedError):
        await writes.give(giver, SHARE_W - 1_000.0, confirmed_w=SHARE_W)
    await writes.give(giver, SHARE_W - 1_000.0, confirmed_w=SHARE_W - 1_200.0)
    assert await writes.take(taker, 1_000.0) == SHARE_W + 1_000.0
    with pytest.raises(OverCapError):
        await writes.set_cap(SITE, CAP_W - 1.0)


async def test_the_share_of_the_dead_is_cut_to_the_worst_of_its_miners_and_not_while_it_lives(
    pool: asyncpg.Pool,
) -> None:
    writes = FencedWrites(pool)
    await held(pool)
    assert not await writes.reclaim("C000", 500.0)
    await expire(pool)
    assert await writes.reclaim("C000", 500.0)
    assert await writes.share_w("C000") == 500.0


async def test_two_takers_at_once_cannot_take_the_same_watts(pool: asyncpg.Pool) -> None:
    writes = FencedWrites(pool)
    keeper, giver = await held(pool)
    await writes.give(giver, SHARE_W - 1_000.0, 0.0)
    taking = [writes.take(keeper.held[f"C00{n}"], 1_000.0) for n in (1, 2, 3)]
    outcomes = await asyncio.gather(*taking, return_exceptions=True)
    assert sorted(isinstance(outcome, OverCapError) for outcome in outcomes) == [False, True, True]


async def test_commands_lie_in_the_partition_of_their_day(pool: asyncpg.Pool) -> None:
    _, lease = await held(pool)
    await FencedWrites(pool).raise_power(lease, 1, [wish()], SHARE_W)
    today = await pool.fetchval("SELECT to_char(issued_at AT TIME ZONE 'UTC', 'YYYYMMDD') FROM command")
    assert await pool.fetchval("SELECT relname FROM command JOIN pg_class ON command.tableoid = pg_class.oid") == (
        f"command_{today}"
    )


@pytest.mark.parametrize(("ttl_s", "guard_s"), [(9.0, 2.0), (9.0, 6.0)])
def test_terms_that_cannot_be_safe_are_refused(ttl_s: float, guard_s: float) -> None:
    with pytest.raises(ValueError, match="guard_s"):
        Terms(ttl_s=ttl_s, renew_s=3.0, guard_s=guard_s)


async def test_workers_killed_and_stopped_past_their_lease_send_no_stale_command_and_stay_under_the_cap(
    cluster: Cluster, dsn: str
) -> None:
    told = await chaos(cluster, dsn, faults=6, ttl_s=1.5, checked=True)
    assert (told["stale_commands"], told["over_cap"]) == (0, 0)
    assert told["takeovers"]
