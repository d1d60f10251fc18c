-- Migration 4: studies that are fetched as priors. What comes of them within a day opens no job; see store/pulls.py.
CREATE TABLE prior (
    study_instance_uid TEXT PRIMARY KEY,
    noted_at           REAL NOT NULL
) STRICT;
