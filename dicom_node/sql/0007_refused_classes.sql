-- Peers that cannot be reached, for the circuit breaker of the outbox; who answers has no row.
CREATE TABLE unreachable_peer (
    peer        TEXT PRIMARY KEY,
    failures    INTEGER NOT NULL CHECK (failures > 0), -- in a row
    since       REAL NOT NULL,                         -- the first of them
    reason      TEXT NOT NULL,                         -- of the last
    next_try_at REAL                                   -- null while each delivery is tried by itself
) STRICT;
CREATE INDEX delivery_pending_for ON delivery (peer) WHERE state = 'pending';

-- SOP classes that a peer refused, as long as they are remembered (domain/refusal.py): what it gets is made without.
CREATE TABLE refused_class (
    peer          TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL,
    since         REAL NOT NULL, -- when it refused last
    reason        TEXT NOT NULL, -- in its words, or why nothing was sent
    PRIMARY KEY (peer, sop_class_uid)
) STRICT;

-- Results of a job that are made anew for a peer, since it refuses a SOP class of theirs. What was on its way to it of
-- that job is taken back; the job waits for a worker until made_at.
CREATE TABLE substitution (
    substitution_id INTEGER PRIMARY KEY,
    job_id          INTEGER NOT NULL REFERENCES job,
    peer            TEXT NOT NULL,
    sop_class_uid   TEXT NOT NULL, -- that it refuses
    in_its_place    TEXT NOT NULL, -- in words
    asked_at        REAL NOT NULL,
    worker          TEXT,          -- who makes it; null while nobody has taken it
    made_at         REAL           -- null: not yet
) STRICT;
CREATE INDEX substitution_of_job ON substitution (job_id);
