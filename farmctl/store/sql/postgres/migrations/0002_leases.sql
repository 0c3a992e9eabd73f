-- Who may raise power where.  Every time here is the database's own clock; a worker's clock is never compared with it.
CREATE TABLE worker (
    holder  TEXT PRIMARY KEY,  -- one name per start of a process, never used again
    seen_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE shard_lease (
    shard_id   TEXT PRIMARY KEY,
    holder     TEXT,
    epoch      BIGINT NOT NULL DEFAULT 0,
    expires_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
);

CREATE TABLE site_budget (
    site_id  TEXT PRIMARY KEY,
    cap_w    DOUBLE PRECISION NOT NULL CHECK (cap_w >= 0),
    shared_w DOUBLE PRECISION NOT NULL DEFAULT 0,
    CONSTRAINT shares_fit_under_the_cap CHECK (shared_w <= cap_w)
);

CREATE TABLE budget_share (
    shard_id TEXT PRIMARY KEY REFERENCES shard_lease,
    site_id  TEXT NOT NULL REFERENCES site_budget,
    share_w  DOUBLE PRECISION NOT NULL CHECK (share_w >= 0),
    epoch    BIGINT NOT NULL DEFAULT 0
);

-- The sum is made here and not by the workers: whoever writes a share, the constraint above has the last word.
-- It is counted anew each time, because adding differences of floats drifts.  The row is locked first: two shares
-- written at once would each count without the other.
CREATE FUNCTION share_is_counted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    site TEXT := coalesce(NEW.site_id, OLD.site_id);
BEGIN
    PERFORM 1 FROM site_budget WHERE site_id = site FOR UPDATE;
    UPDATE site_budget
    SET shared_w = (SELECT coalesce(sum(share_w), 0) FROM budget_share WHERE site_id = site)
    WHERE site_id = site;
    RETURN NULL;
END $$;
CREATE TRIGGER share_is_counted AFTER INSERT OR UPDATE OR DELETE ON budget_share
FOR EACH ROW EXECUTE FUNCTION share_is_counted();

CREATE FUNCTION share_keeps_its_site() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a share keeps its site and shard';
END $$;
CREATE TRIGGER share_keeps_its_site BEFORE UPDATE OF site_id, shard_id ON budget_share
FOR EACH ROW EXECUTE FUNCTION share_keeps_its_site();

CREATE TABLE plan (
    site_id     TEXT NOT NULL REFERENCES site_budget,
    rev         BIGINT NOT NULL,
    cap_w       DOUBLE PRECISION NOT NULL,
    floor_w     DOUBLE PRECISION NOT NULL DEFAULT 0,
    valid_from  TIMESTAMPTZ NOT NULL,
    valid_until TIMESTAMPTZ NOT NULL,
    failsafe_w  DOUBLE PRECISION NOT NULL,
    source      TEXT NOT NULL,
    epoch       BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (site_id, rev)
);

CREATE TABLE command (
    id        UUID NOT NULL,
    shard_id  TEXT NOT NULL,
    epoch     BIGINT NOT NULL,
    miner_id  TEXT NOT NULL,
    action    TEXT NOT NULL,
    target_w  DOUBLE PRECISION NOT NULL,
    plan_rev  BIGINT NOT NULL,
    issued_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    done_at   TIMESTAMPTZ,
    result    TEXT,
    PRIMARY KEY (issued_at, id)
) PARTITION BY RANGE (issued_at);
-- Where nobody made the day in time, its commands are kept all the same.
CREATE TABLE command_other PARTITION OF command DEFAULT;

-- Makes the partition of a UTC day; retention is DROP TABLE of old ones.
CREATE FUNCTION make_command_day(day DATE) RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS %I PARTITION OF command FOR VALUES FROM (%L) TO (%L)',
        'command_' || to_char(day, 'YYYYMMDD'), day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00'
    );
END $$;

DO $$
BEGIN
    -- A definer's function must not be led to tables of somebody else's schema.
    EXECUTE format('ALTER FUNCTION share_is_counted() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION make_command_day(DATE) SET search_path = %I, pg_temp', current_schema());
END $$;
SELECT make_command_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(0, 1) AS n;

GRANT SELECT, INSERT, UPDATE, DELETE ON worker TO farmctl_writer;
GRANT SELECT, INSERT, UPDATE ON shard_lease, budget_share TO farmctl_writer;
GRANT SELECT, INSERT, UPDATE (cap_w) ON site_budget TO farmctl_writer;
GRANT SELECT, INSERT ON plan TO farmctl_writer;
GRANT SELECT, INSERT, UPDATE (done_at, result) ON command TO farmctl_writer;
