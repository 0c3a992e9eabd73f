-- What miners say beside the columns: slowest fan, air and fault codes of the last polls; pools and boards by the hour.
CREATE TABLE shard_aside (
    shard_id TEXT NOT NULL REFERENCES shard_lease,
    kind     TEXT NOT NULL CHECK (kind IN ('said', 'facts')),
    epoch    BIGINT NOT NULL,
    z        BYTEA NOT NULL,
    rev      BIGINT NOT NULL DEFAULT nextval('page_rev'),
    PRIMARY KEY (shard_id, kind)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON shard_aside TO farmctl_writer;
