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
INSERT INTO shard_lease (shard_id, role) SELECT unnest($1::text[]), $2 ON CONFLICT DO NOTHING;

-- name: beat
INSERT INTO worker (holder, role, name, door, seen_at) VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at;

-- name: leave
DELETE FROM worker WHERE holder = $1;

-- name: forget_workers
DELETE FROM worker WHERE seen_at < clock_timestamp() - $1::interval;

-- name: fair_share
SELECT (SELECT count(*) FROM shard_lease WHERE role = $2),
       (SELECT count(*) FROM worker WHERE role = $2 AND seen_at > clock_timestamp() - $1::interval);

-- name: renew
UPDATE shard_lease SET expires_at = clock_timestamp() + $2::interval
WHERE holder = $1 AND expires_at > clock_timestamp() AND shard_id = ANY($3::text[])
RETURNING shard_id, epoch;

-- name: claim
UPDATE shard_lease SET holder = $1, epoch = epoch + 1, expires_at = clock_timestamp() + $2::interval
WHERE shard_id IN (
    SELECT shard_id FROM shard_lease WHERE role = $4 AND expires_at <= clock_timestamp()
    ORDER BY expires_at, shard_id
    LIMIT greatest($3::bigint, (
        SELECT count(*) FROM shard_lease
        WHERE role = $4 AND expires_at <= clock_timestamp() - $5::interval AND expires_at > '-infinity'
    ))
    FOR UPDATE SKIP LOCKED
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

-- name: make_command_day
SELECT make_command_day((clock_timestamp() AT TIME ZONE 'UTC')::date + $1::integer);

-- name: make_telemetry_day
SELECT make_telemetry_day((clock_timestamp() AT TIME ZONE 'UTC')::date + $1::integer);

-- name: drop_telemetry
SELECT drop_telemetry_before((clock_timestamp() AT TIME ZONE 'UTC')::date - $1::integer);

-- name: holds
SELECT 1 FROM shard_lease
WHERE shard_id = $1 AND epoch = $2 AND holder = $3 AND expires_at > clock_timestamp() FOR SHARE;

-- name: put_setpoints
WITH lease AS (
    SELECT 1 FROM shard_lease
    WHERE shard_id = $1 AND epoch = $2 AND holder = $3 AND expires_at > clock_timestamp() FOR SHARE
)
INSERT INTO setpoint (miner_id, shard_id, target_w, plan_rev, epoch, raises, deadline_ms, command)
SELECT miner_id, shard_id, target_w, $4, $2, raises, deadline_ms, command
FROM unnest($5::text[], $6::text[], $7::double precision[], $8::boolean[], $9::bigint[], $10::text[])
     AS c (miner_id, shard_id, target_w, raises, deadline_ms, command), lease
ON CONFLICT (miner_id) DO UPDATE SET
    (shard_id, target_w, plan_rev, epoch, raises, deadline_ms, command, rev)
    = (excluded.shard_id, excluded.target_w, excluded.plan_rev, excluded.epoch, excluded.raises, excluded.deadline_ms,
       excluded.command, nextval('setpoint_rev'))
RETURNING 1;

-- name: wake_workers
SELECT pg_notify('farmctl_setpoints', '');

-- name: setpoints
SELECT shard_id, rev, epoch, raises, command
FROM setpoint JOIN unnest($1::text[], $2::bigint[]) AS c (shard, after) ON shard_id = shard AND rev > after
ORDER BY rev;

-- name: newest_plan
SELECT rev, cap_w, failsafe_w, extract(epoch FROM valid_until - clock_timestamp())::double precision
FROM plan WHERE site_id = $1 ORDER BY rev DESC LIMIT 1;

-- name: new_plan
WITH lease AS (
    SELECT 1 FROM shard_lease
    WHERE shard_id = $1 AND epoch = $2 AND holder = $3 AND expires_at > clock_timestamp() FOR SHARE
), cap AS (
    -- What is shared out already cannot be taken back here: the cap follows down as the shares are given up.
    INSERT INTO site_budget (site_id, cap_w) SELECT $4, $5 FROM lease
    ON CONFLICT (site_id) DO UPDATE SET cap_w = greatest(excluded.cap_w, site_budget.shared_w)
    RETURNING site_id
)
INSERT INTO plan (site_id, rev, cap_w, valid_from, valid_until, failsafe_w, source, epoch)
SELECT $4, coalesce((SELECT max(rev) FROM plan WHERE site_id = $4), 0) + 1, $5, clock_timestamp(),
       clock_timestamp() + $6::interval, $7, $3, $2
FROM cap
RETURNING rev;

-- name: extend_plan
WITH lease AS (
    SELECT 1 FROM shard_lease
    WHERE shard_id = $1 AND epoch = $2 AND holder = $3 AND expires_at > clock_timestamp() FOR SHARE
), cap AS (
    UPDATE site_budget SET cap_w = greatest($5, shared_w) FROM lease WHERE site_id = $4 RETURNING site_id
)
UPDATE plan SET valid_until = clock_timestamp() + $6::interval FROM cap
WHERE plan.site_id = cap.site_id AND rev = $7
RETURNING rev;

-- name: open_budget
INSERT INTO site_budget (site_id, cap_w) VALUES ($1, 0) ON CONFLICT DO NOTHING;

-- name: open_shares
INSERT INTO budget_share (shard_id, site_id, share_w) SELECT unnest($1::text[]), $2, 0 ON CONFLICT DO NOTHING;

-- name: show_pages
INSERT INTO shard_page (shard_id, epoch, z)
SELECT shard_id, c.epoch, c.z FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS c (shard, epoch, z)
JOIN shard_lease ON shard_id = shard AND shard_lease.epoch = c.epoch
ON CONFLICT (shard_id) DO UPDATE SET (epoch, z, rev) = (excluded.epoch, excluded.z, nextval('page_rev'));

-- name: pages
SELECT shard_id, epoch, rev, z FROM shard_page WHERE rev > $1 ORDER BY rev;

-- name: show_beside
INSERT INTO shard_aside (shard_id, kind, epoch, z)
SELECT shard_id, $3, epoch, $4 FROM shard_lease WHERE shard_id = $1 AND epoch = $2
ON CONFLICT (shard_id, kind) DO UPDATE SET (epoch, z, rev) = (excluded.epoch, excluded.z, nextval('page_rev'));

-- name: beside
SELECT shard_id, kind, rev, z FROM shard_aside WHERE rev > $1 ORDER BY rev;

-- name: keep_pages
INSERT INTO telemetry_page (shard_id, ts, codec, z)
SELECT shard, to_timestamp($1::double precision / 1000), 1, z FROM unnest($2::text[], $3::bytea[]) AS c (shard, z)
ON CONFLICT DO NOTHING;

-- name: tell
UPDATE command SET done_at = clock_timestamp(), result = c.result
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS c (miner, shard, epoch, result)
WHERE issued_at > clock_timestamp() - interval '10 min' AND done_at IS NULL
  AND miner_id = c.miner AND shard_id = c.shard AND command.epoch = c.epoch;

-- name: members
SELECT name, role, door, extract(epoch FROM clock_timestamp() - seen_at)::double precision,
       EXISTS (SELECT 1 FROM shard_lease l WHERE l.holder = w.holder AND l.role = 'controller'
               AND l.expires_at > clock_timestamp()),
       (SELECT count(*) FROM shard_lease l WHERE l.holder = w.holder AND l.role = 'worker'
        AND l.expires_at > clock_timestamp())
FROM worker w WHERE seen_at > clock_timestamp() - $1::interval ORDER BY name, role;

-- name: kept_pages
SELECT shard_id, (extract(epoch FROM ts) * 1000)::bigint, z FROM (
    SELECT DISTINCT ON (shard_id, floor(extract(epoch FROM ts) / $3::integer)) shard_id, ts, z FROM telemetry_page
    WHERE ts >= to_timestamp($1::double precision / 1000) AND ts < to_timestamp($2::double precision / 1000)
    ORDER BY shard_id, floor(extract(epoch FROM ts) / $3::integer), ts DESC
) AS last_of_step
ORDER BY ts LIMIT $4::bigint;
