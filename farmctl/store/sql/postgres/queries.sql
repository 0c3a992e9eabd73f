-- name: begin
BEGIN;

-- name: take_turn
SELECT turn FROM journal_turn FOR UPDATE;

-- name: commit
COMMIT;

-- name: schema_version
SELECT coalesce(max(version), 0) FROM schema_version;

-- name: add_schema_version
INSERT INTO schema_version (version, name) VALUES ($1, $2);

-- name: add_links
INSERT INTO journal (seq, at_ms, kind, body, blob, prev_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: last_link
SELECT seq, at_ms, convert_to(kind, 'UTF8'), convert_to(body, 'UTF8'), blob, prev_hash, hash
FROM journal ORDER BY seq DESC LIMIT 1;

-- name: links
SELECT seq, at_ms, convert_to(kind, 'UTF8'), convert_to(body, 'UTF8'), blob, prev_hash, hash
FROM journal WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3;

-- name: links_of_kinds
SELECT seq, at_ms, convert_to(kind, 'UTF8'), convert_to(body, 'UTF8'), blob, prev_hash, hash
FROM journal WHERE seq > $1 AND seq <= $2 AND kind IN (SELECT jsonb_array_elements_text($4::text::jsonb))
ORDER BY seq LIMIT $3;

-- name: set_state
INSERT INTO state (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: state
SELECT value FROM state WHERE name = $1;

-- name: states
SELECT name, value FROM state ORDER BY name COLLATE "C";

-- name: inventory
SELECT miner_id, host, ports, driver, model, firmware, serial, circuit, container, rack, slot, phase, tier, protected,
       tags, owner
FROM inventory ORDER BY miner_id COLLATE "C";

-- name: put_inventory
INSERT INTO inventory (miner_id, host, ports, driver, model, firmware, serial, circuit, container, rack, slot, phase,
                       tier, protected, tags, owner)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (miner_id) DO UPDATE SET
    (host, ports, driver, model, firmware, serial, circuit, container, rack, slot, phase, tier, protected, tags, owner)
    = (excluded.host, excluded.ports, excluded.driver, excluded.model, excluded.firmware, excluded.serial,
       excluded.circuit, excluded.container, excluded.rack, excluded.slot, excluded.phase, excluded.tier,
       excluded.protected, excluded.tags, excluded.owner);

-- name: remove_inventory
DELETE FROM inventory WHERE miner_id = $1;

-- name: add_shards
INSERT INTO shard_lease (shard_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING;

-- name: beat
INSERT INTO worker (holder, seen_at) VALUES ($1, clock_timestamp())
ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at;

-- name: forget_workers
DELETE FROM worker WHERE seen_at < clock_timestamp() - 10 * $1::interval;

-- name: fair_share
SELECT (SELECT count(*) FROM shard_lease),
       (SELECT count(*) FROM worker WHERE seen_at > clock_timestamp() - $1::interval);

-- name: renew
UPDATE shard_lease SET expires_at = clock_timestamp() + $2::interval
WHERE holder = $1 AND expires_at > clock_timestamp() AND shard_id = ANY($3::text[])
RETURNING shard_id, epoch;

-- name: claim
UPDATE shard_lease SET holder = $1, epoch = epoch + 1, expires_at = clock_timestamp() + $2::interval
WHERE shard_id IN (
    SELECT shard_id FROM shard_lease WHERE expires_at <= clock_timestamp()
    ORDER BY expires_at, shard_id LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING shard_id, epoch;

-- name: release
UPDATE shard_lease SET expires_at = clock_timestamp() + $3::interval
WHERE holder = $1 AND expires_at > clock_timestamp() + $3::interval AND shard_id = ANY($2::text[]);

-- name: lower
INSERT INTO command (id, shard_id, epoch, miner_id, action, target_w, plan_rev)
SELECT id, $1, $2, miner_id, action, target_w, $3
FROM unnest($4::uuid[], $5::text[], $6::text[], $7::double precision[]) AS c (id, miner_id, action, target_w)
RETURNING id;

-- name: raise
WITH lease AS (
    SELECT 1 FROM shard_lease
    WHERE shard_id = $1 AND epoch = $2 AND expires_at > clock_timestamp() FOR SHARE
), headroom AS (
    SELECT site_id FROM budget_share WHERE shard_id = $1 AND share_w >= $8::double precision FOR SHARE
), live_plan AS (
    SELECT 1 FROM plan JOIN headroom USING (site_id)
    WHERE rev = $3 AND valid_from <= clock_timestamp() AND valid_until > clock_timestamp()
      AND rev = (SELECT max(newest.rev) FROM plan AS newest WHERE newest.site_id = plan.site_id)
)
INSERT INTO command (id, shard_id, epoch, miner_id, action, target_w, plan_rev)
SELECT id, $1, $2, miner_id, action, target_w, $3
FROM unnest($4::uuid[], $5::text[], $6::text[], $7::double precision[]) AS c (id, miner_id, action, target_w),
     lease, live_plan
RETURNING id;

-- name: set_cap
INSERT INTO site_budget (site_id, cap_w) VALUES ($1, $2) ON CONFLICT (site_id) DO UPDATE SET cap_w = excluded.cap_w;

-- name: add_share
INSERT INTO budget_share (shard_id, site_id, share_w) VALUES ($1, $2, $3);

-- name: share
SELECT share_w FROM budget_share WHERE shard_id = $1;

-- name: give
WITH lease AS (
    SELECT shard_id, epoch FROM shard_lease
    WHERE shard_id = $1 AND epoch = $2 AND expires_at > clock_timestamp() FOR SHARE
)
UPDATE budget_share SET share_w = $3, epoch = lease.epoch FROM lease
WHERE budget_share.shard_id = lease.shard_id AND share_w >= $3 AND $4::double precision <= $3
RETURNING share_w;

-- name: take
WITH lease AS (
    SELECT shard_id, epoch FROM shard_lease
    WHERE shard_id = $1 AND epoch = $2 AND expires_at > clock_timestamp() FOR SHARE
)
UPDATE budget_share SET share_w = share_w + $3, epoch = lease.epoch FROM lease
WHERE budget_share.shard_id = lease.shard_id
RETURNING share_w;

-- name: reclaim
WITH dead AS (
    SELECT shard_id, epoch FROM shard_lease WHERE shard_id = $1 AND expires_at <= clock_timestamp() FOR UPDATE
)
UPDATE budget_share SET share_w = $2, epoch = dead.epoch FROM dead
WHERE budget_share.shard_id = dead.shard_id AND share_w > $2
RETURNING share_w;

-- name: publish_plan
INSERT INTO plan (site_id, rev, cap_w, valid_from, valid_until, failsafe_w, source)
VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4::interval, $5, $6);

-- name: make_days
SELECT make_command_day((clock_timestamp() AT TIME ZONE 'UTC')::date + n) FROM generate_series(0, 1) AS n;
