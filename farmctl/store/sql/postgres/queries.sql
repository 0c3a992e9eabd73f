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
