-- Migration 2: a delivery may be committed, be sent again, be removed with its study, and knows since when it fails.
-- SQLite changes no CHECK in place: the table is made anew. Nothing refers to it. Its states and steps are those of
-- domain/delivery.py, and the store moves no delivery against it.
CREATE TABLE delivery_2 (
    -- never used twice: an answer may come for a delivery that was removed meanwhile
    delivery_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id        INTEGER NOT NULL REFERENCES job,
    result_id     INTEGER NOT NULL REFERENCES result,
    peer          TEXT NOT NULL,
    state         TEXT NOT NULL DEFAULT 'pending' CHECK (state IN (
        'pending',    -- -> sent       the peer answered success or a warning
                      -- -> dead       the peer will never take it, or has failed for too long
        'sent',       -- -> committed  the peer has promised to keep it
                      -- -> pending    a person had it sent again
        'committed',  -- -> pending    a person had it sent again
        'dead'        -- -> pending    a person had it sent again
    )),
    attempt       INTEGER NOT NULL DEFAULT 1, -- number of the try that comes next, or that decided
    reason        TEXT NOT NULL DEFAULT '',   -- what the last try that failed ran into
    status        INTEGER,                    -- the DIMSE status the peer answered
    due_at        REAL NOT NULL,
    failing_since REAL,                       -- the first of its tries in vain; null when none was
    UNIQUE (result_id, peer),
    CHECK (state NOT IN ('sent', 'committed') OR status IS NOT NULL),
    CHECK (state <> 'dead' OR reason <> '')
) STRICT;
-- When an older delivery failed first is not known: it counts from its next failure.
INSERT INTO delivery_2 (delivery_id, job_id, result_id, peer, state, attempt, reason, status, due_at)
SELECT delivery_id, job_id, result_id, peer, state, attempt, reason, status, due_at FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_2 RENAME TO delivery;
CREATE INDEX delivery_of_job ON delivery (job_id, peer);
CREATE INDEX delivery_pending ON delivery (due_at) WHERE state = 'pending';
