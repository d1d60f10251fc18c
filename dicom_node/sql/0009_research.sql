-- De-identified copies. A copy that is to be sent is a result of its own kind, so that it has deliveries as
-- any other; it is no result of the analysis: nothing that tells or decides about jobs counts it.
ALTER TABLE result ADD COLUMN kind TEXT NOT NULL DEFAULT 'result' CHECK (kind IN ('result', 'research copy'));
-- What copies are wanted of. It does not say which copy became of which original: only the key knows that.
CREATE TABLE research_copy (
    study_instance_uid TEXT NOT NULL,
    sop_instance_uid   TEXT NOT NULL,                -- of the original
    job_id             INTEGER NOT NULL REFERENCES job,
    path               TEXT NOT NULL,                -- of the original
    state              TEXT NOT NULL DEFAULT 'wanted' CHECK (state IN (
        'wanted',    -- -> made      written, and on its way if it goes to a peer
                     -- -> left out  it could show who the patient is, or is not asked for
                     -- -> failed    gave up
        'made',      -- end
        'left out',  -- -> wanted    its study was analysed again
        'failed'     -- -> wanted    its study was analysed again
    )),
    reason             TEXT NOT NULL DEFAULT '',
    attempt            INTEGER NOT NULL DEFAULT 0,   -- begun so often without an end that was recorded
    failing_since      REAL,                         -- the first of its tries in vain; null when none was
    PRIMARY KEY (study_instance_uid, sop_instance_uid),
    CHECK (state NOT IN ('left out', 'failed') OR reason <> '')
) STRICT;
CREATE INDEX research_copy_of_job ON research_copy (job_id);
CREATE INDEX research_copy_wanted ON research_copy (state) WHERE state = 'wanted';
