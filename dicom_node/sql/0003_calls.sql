-- Who called, and how that ended: what the connection doctor shows. One row for calls alike; bounded in number.
CREATE TABLE call (
    calling_ae_title TEXT NOT NULL,  -- empty where none was told
    address          TEXT NOT NULL,
    called_ae_title  TEXT NOT NULL,
    outcome          TEXT NOT NULL CHECK (outcome IN ('accepted', 'rejected', 'no TLS', 'cut off')),
    reason           TEXT NOT NULL,  -- this and what follows: of the last one
    remedy           TEXT NOT NULL,
    refused          TEXT NOT NULL,  -- JSON array: presentation contexts that were not accepted
    first_at         REAL NOT NULL,
    last_at          REAL NOT NULL,
    count            INTEGER NOT NULL,
    PRIMARY KEY (calling_ae_title, address, called_ae_title, outcome)
) STRICT;
