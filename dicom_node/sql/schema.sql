-- What the node remembers; migration 1. Times are seconds since the epoch, UTC. A later change of the schema is a
-- numbered file of its own, listed in store.py; this one is never edited after a release.
-- Every statement ends with a semicolon at the end of its line.

-- Every object that was received, images or not, once. The file at path is the truth, this row says where it is.
CREATE TABLE instance (
    sop_instance_uid    TEXT PRIMARY KEY,
    study_instance_uid  TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    sop_class_uid       TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    kind                TEXT NOT NULL CHECK (kind IN ('image', 'not an image', 'own result')),
    path                TEXT NOT NULL,
    size_bytes          INTEGER NOT NULL,
    digest              TEXT NOT NULL,
    calling_ae_title    TEXT NOT NULL,
    received_at         REAL NOT NULL
) STRICT;
CREATE INDEX instance_of_study ON instance (study_instance_uid, kind, received_at);

-- Objects under a SOP Instance UID that another object had before: the first stays, these wait for a person.
CREATE TABLE conflict (
    sop_instance_uid    TEXT NOT NULL REFERENCES instance,
    digest              TEXT NOT NULL,
    study_instance_uid  TEXT NOT NULL,
    path                TEXT NOT NULL,
    calling_ae_title    TEXT NOT NULL,
    received_at         REAL NOT NULL,
    PRIMARY KEY (sop_instance_uid, digest)
) STRICT;

-- One analysis of one study. A study has several when images came late; the newest says how the study stands.
CREATE TABLE job (
    job_id             INTEGER PRIMARY KEY,
    study_instance_uid TEXT NOT NULL,
    -- The life of a job; domain/job.py holds the same table, and the store moves no job against it.
    state              TEXT NOT NULL CHECK (state IN (
        'receiving',   -- -> ready       settled
        'ready',       -- -> running     a worker claimed it
                       -- -> receiving   a late image came before a worker did
        'running',     -- -> delivering  analysed, with results and somewhere to send them
                       -- -> done        analysed, nothing to send
                       -- -> ready       failed or its lease ran out, and may be tried again
                       -- -> held        waits for a person
                       -- -> failed      failed or its lease ran out once too often
        'delivering',  -- -> done        every delivery is sent
                       -- -> failed      the last delivery was decided, and some are dead
        'done',        -- end
        'held',        -- -> ready       a person let it go on
        'failed'       -- -> ready       a person had it tried again
    )),
    reason             TEXT NOT NULL,              -- why it stands where it stands
    attempt            INTEGER NOT NULL DEFAULT 0, -- how often it was claimed
    opened_at          REAL NOT NULL,              -- its first image
    last_image_at      REAL NOT NULL,              -- its latest image
    settled_at         REAL,
    finished_at        REAL,                       -- the analysis ended, well or not
    worker             TEXT,                       -- who holds the lease, while running
    lease_until        REAL,
    outcome            TEXT,                       -- of the Analysis
    summary            TEXT CHECK (summary IS NULL OR json_valid(summary)),
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
) STRICT;
CREATE INDEX job_of_study ON job (study_instance_uid);
CREATE INDEX job_by_state ON job (state, settled_at);
CREATE UNIQUE INDEX one_running_job_per_study ON job (study_instance_uid) WHERE state = 'running';

-- What a job made, in sending order.
CREATE TABLE result (
    result_id           INTEGER PRIMARY KEY,
    job_id              INTEGER NOT NULL REFERENCES job,
    path                TEXT NOT NULL,
    modality            TEXT NOT NULL,
    sop_class_uid       TEXT NOT NULL,
    sop_instance_uid    TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    UNIQUE (job_id, sop_instance_uid)
) STRICT;

-- One result for one peer. Within a job and a peer, the order of delivery_id is the sending order.
CREATE TABLE delivery (
    delivery_id INTEGER PRIMARY KEY,
    job_id      INTEGER NOT NULL REFERENCES job,
    result_id   INTEGER NOT NULL REFERENCES result,
    peer        TEXT NOT NULL,
    state       TEXT NOT NULL DEFAULT 'pending' CHECK (state IN (
        'pending',  -- -> sent   the peer answered success or a warning
                    -- -> dead   the peer will never take it
        'sent',     -- end
        'dead'      -- end
    )),
    attempt     INTEGER NOT NULL DEFAULT 1, -- number of the try that comes next, or that decided
    reason      TEXT NOT NULL DEFAULT '',   -- what the last try that failed ran into
    status      INTEGER,                    -- the DIMSE status the peer answered
    due_at      REAL NOT NULL,
    UNIQUE (result_id, peer)
) STRICT;
CREATE INDEX delivery_of_job ON delivery (job_id, peer);
CREATE INDEX delivery_pending ON delivery (due_at) WHERE state = 'pending';

-- What happened, in order; written in the transaction that made it happen, never changed.
CREATE TABLE event (
    event_id           INTEGER PRIMARY KEY,
    at                 REAL NOT NULL,
    study_instance_uid TEXT NOT NULL,
    job_id             INTEGER REFERENCES job,
    action             TEXT NOT NULL, -- the new state of the job, or what happened to an instance or a delivery
    reason             TEXT NOT NULL
) STRICT;
CREATE INDEX event_of_study ON event (study_instance_uid);
