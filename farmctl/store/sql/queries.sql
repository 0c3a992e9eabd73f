-- name: begin
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: create_schema_version
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;

-- name: has_schema_version
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version';

-- name: schema_version
SELECT coalesce(max(version), 0) FROM schema_version;

-- name: add_schema_version
INSERT INTO schema_version (version, name) VALUES (?, ?);

-- name: add_links
INSERT INTO journal (seq, at_ms, kind, body, blob, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: last_link
SELECT seq, at_ms, CAST(kind AS BLOB), CAST(body AS BLOB), blob, prev_hash, hash
FROM journal ORDER BY seq DESC LIMIT 1;

-- name: links
SELECT seq, at_ms, CAST(kind AS BLOB), CAST(body AS BLOB), blob, prev_hash, hash
FROM journal WHERE seq > :after AND seq <= :until ORDER BY seq LIMIT :limit;

-- name: links_of_kinds
SELECT seq, at_ms, CAST(kind AS BLOB), CAST(body AS BLOB), blob, prev_hash, hash
FROM journal WHERE seq > :after AND seq <= :until AND kind IN (SELECT value FROM json_each(:kinds))
ORDER BY seq LIMIT :limit;

-- name: set_state
INSERT INTO state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: state
SELECT value FROM state WHERE name = ?;

-- name: states
SELECT name, value FROM state ORDER BY name;

-- name: inventory
SELECT miner_id, host, ports, driver, model, firmware, serial, circuit, container, rack, slot, phase, tier, protected,
       tags, owner
FROM inventory ORDER BY miner_id;

-- name: put_inventory
REPLACE INTO inventory (miner_id, host, ports, driver, model, firmware, serial, circuit, container, rack, slot, phase,
                        tier, protected, tags, owner)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: remove_inventory
DELETE FROM inventory WHERE miner_id = ?;
