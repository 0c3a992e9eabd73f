-- Who writes: every session takes this role, also one whose login owns the tables.  Roles belong to the cluster.
-- Where the administrator made it (configs/patroni/roles.sql), the owner of the tables needs no right to make roles.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'farmctl_writer') THEN
        CREATE ROLE farmctl_writer NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'farmctl_writer', 'MEMBER') THEN
        EXECUTE format('GRANT farmctl_writer TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO farmctl_writer', current_schema());
END $$;

CREATE TABLE journal (
    seq       BIGINT PRIMARY KEY,
    at_ms     BIGINT NOT NULL,
    kind      TEXT   NOT NULL,
    body      TEXT   NOT NULL,  -- canonical JSON, RFC 8785: TEXT, because JSONB would not keep its bytes
    blob      BYTEA  NOT NULL,
    prev_hash BYTEA  NOT NULL CHECK (length(prev_hash) = 32),
    hash      BYTEA  NOT NULL CHECK (length(hash) = 32)
);

CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only';
END $$;

CREATE TRIGGER journal_keeps_what_was_written BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();

-- The row that an appender locks before it reads the head: several processes, one chain.
CREATE TABLE journal_turn (turn INTEGER PRIMARY KEY CHECK (turn = 1));
INSERT INTO journal_turn (turn) VALUES (1);

CREATE TABLE state (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE inventory (
    miner_id  TEXT PRIMARY KEY,
    host      TEXT NOT NULL,
    ports     TEXT NOT NULL,  -- JSON object: name -> port
    driver    TEXT NOT NULL,
    model     TEXT NOT NULL,
    firmware  TEXT NOT NULL,
    serial    TEXT NOT NULL,
    circuit   TEXT NOT NULL,
    container TEXT NOT NULL,
    rack      TEXT NOT NULL,
    slot      TEXT NOT NULL,
    phase     TEXT NOT NULL,
    tier      BIGINT NOT NULL,
    protected INTEGER NOT NULL CHECK (protected IN (0, 1)),
    tags      TEXT NOT NULL,  -- JSON array of text
    owner     TEXT NOT NULL
);

GRANT SELECT ON schema_version TO farmctl_writer;
GRANT SELECT, INSERT ON journal TO farmctl_writer;
GRANT SELECT, UPDATE ON journal_turn TO farmctl_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON state, inventory TO farmctl_writer;
