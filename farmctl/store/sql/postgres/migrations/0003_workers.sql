-- Several processes of one site: who they are, what the controller wants of each miner, what the workers see.
ALTER TABLE worker
    ADD COLUMN role TEXT NOT NULL DEFAULT 'worker',
    ADD COLUMN name TEXT NOT NULL DEFAULT '',
    ADD COLUMN door TEXT NOT NULL DEFAULT '';
-- The controller's seat is a lease like that of a shard, and never claimed together with them.
ALTER TABLE shard_lease ADD COLUMN role TEXT NOT NULL DEFAULT 'worker';

CREATE SEQUENCE setpoint_rev;
CREATE TABLE setpoint (
    miner_id    TEXT PRIMARY KEY,
    shard_id    TEXT NOT NULL REFERENCES shard_lease,
    target_w    DOUBLE PRECISION NOT NULL,
    plan_rev    BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,   -- of the controller that wrote it
    raises      BOOLEAN NOT NULL,
    deadline_ms BIGINT NOT NULL,
    command     TEXT NOT NULL,     -- the whole order, JSON
    rev         BIGINT NOT NULL DEFAULT nextval('setpoint_rev')
);
CREATE INDEX setpoint_of_shard ON setpoint (shard_id, rev);

CREATE SEQUENCE page_rev;
CREATE TABLE shard_page (          -- the newest of each shard, overwritten
    shard_id TEXT PRIMARY KEY REFERENCES shard_lease,
    epoch    BIGINT NOT NULL,
    z        BYTEA NOT NULL,
    rev      BIGINT NOT NULL DEFAULT nextval('page_rev')
) WITH (fillfactor = 50);

CREATE TABLE telemetry_page (
    shard_id TEXT NOT NULL,
    ts       TIMESTAMPTZ NOT NULL,
    codec    SMALLINT NOT NULL,
    z        BYTEA NOT NULL,
    PRIMARY KEY (shard_id, ts)
) PARTITION BY RANGE (ts);
CREATE TABLE telemetry_page_other PARTITION OF telemetry_page DEFAULT;

-- Makes the partition of a UTC day; retention is DROP TABLE, below.
CREATE FUNCTION make_telemetry_day(day DATE) RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS %I PARTITION OF telemetry_page FOR VALUES FROM (%L) TO (%L)',
        'telemetry_page_' || to_char(day, 'YYYYMMDD'), day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00'
    );
END $$;

CREATE FUNCTION drop_telemetry_before(day DATE) RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    old RECORD;
BEGIN
    FOR old IN
        SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'telemetry_page'::regclass AND child.relname ~ '^telemetry_page_[0-9]{8}$'
          AND child.relname < 'telemetry_page_' || to_char(day, 'YYYYMMDD')
    LOOP
        EXECUTE format('DROP TABLE %I', old.relname);
    END LOOP;
END $$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION make_telemetry_day(DATE) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION drop_telemetry_before(DATE) SET search_path = %I, pg_temp', current_schema());
END $$;
SELECT make_telemetry_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(0, 1) AS n;

GRANT USAGE ON setpoint_rev, page_rev TO farmctl_writer;
GRANT SELECT, INSERT, UPDATE ON setpoint, shard_page TO farmctl_writer;
GRANT SELECT, INSERT ON telemetry_page TO farmctl_writer;
GRANT UPDATE (valid_until) ON plan TO farmctl_writer;
