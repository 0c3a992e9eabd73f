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
    tier      INTEGER NOT NULL,
    protected INTEGER NOT NULL CHECK (protected IN (0, 1)),
    tags      TEXT NOT NULL,  -- JSON array of text
    owner     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
