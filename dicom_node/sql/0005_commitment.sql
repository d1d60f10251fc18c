-- Storage commitment (PS3.4 Annex J), both ways.

-- As SCU: a delivery whose peer shall prove that it keeps the object, from its first arrival until the proof.
CREATE TABLE unproven (
    delivery_id     INTEGER PRIMARY KEY REFERENCES delivery,
    transaction_uid TEXT,                       -- of the last request, as long as its report may come
    asked           INTEGER NOT NULL DEFAULT 0, -- how often, since it was sent last
    due_at          REAL NOT NULL,              -- to be asked for; with a transaction, its report is late from then on
    reason          TEXT NOT NULL DEFAULT '',   -- why there was no proof the last time
    failing_since   REAL,                       -- when there was no word for the first time since it was sent last, or null
    missing_since   REAL                        -- when the peer did not have it for the first time, or null
) STRICT;
CREATE INDEX unproven_of_transaction ON unproven (transaction_uid) WHERE transaction_uid IS NOT NULL;
CREATE INDEX delivery_sent ON delivery (peer, job_id) WHERE state = 'sent';

-- As SCP: what a peer asked this node to commit to, from its N-ACTION until it has taken the report.
CREATE TABLE promise (
    promise_id      INTEGER PRIMARY KEY,
    peer            TEXT NOT NULL,
    transaction_uid TEXT NOT NULL,
    attempt         INTEGER NOT NULL DEFAULT 1, -- number of the try to report that comes next
    due_at          REAL NOT NULL,
    failing_since   REAL,                       -- the first of its tries in vain; null when none was
    UNIQUE (peer, transaction_uid)
) STRICT;
CREATE TABLE promise_item (
    promise_id       INTEGER NOT NULL REFERENCES promise,
    place            INTEGER NOT NULL,           -- in the Referenced SOP Sequence, from 0
    sop_class_uid    TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    PRIMARY KEY (promise_id, place)
) STRICT;
