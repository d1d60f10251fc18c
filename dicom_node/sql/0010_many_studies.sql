-- Migration 10: what is asked every second, and of every study, takes no longer where there are a million instances.

-- What came of each study, added up; its instances keep it so themselves.
CREATE TABLE study (
    study_instance_uid TEXT PRIMARY KEY,
    instance_count     INTEGER NOT NULL,
    image_count        INTEGER NOT NULL,
    received_at        REAL NOT NULL, -- the first of them
    last_received_at   REAL NOT NULL
) STRICT;
INSERT INTO study
SELECT study_instance_uid, count(*), sum(kind = 'image'), min(received_at), max(received_at)
FROM instance GROUP BY study_instance_uid;
CREATE INDEX study_by_arrival ON study (received_at DESC, study_instance_uid);
CREATE TRIGGER instance_came AFTER INSERT ON instance BEGIN
    INSERT INTO study
    VALUES (new.study_instance_uid, 1, new.kind = 'image', new.received_at, new.received_at)
    ON CONFLICT DO UPDATE SET instance_count = instance_count + 1, image_count = image_count + excluded.image_count,
        received_at = min(received_at, excluded.received_at),
        last_received_at = max(last_received_at, excluded.last_received_at); END;
-- Instances go with their study as a whole: what is left of the times matters to nobody.
CREATE TRIGGER instance_went AFTER DELETE ON instance BEGIN
    UPDATE study SET instance_count = instance_count - 1, image_count = image_count - (old.kind = 'image')
    WHERE study_instance_uid = old.study_instance_uid; DELETE FROM study
    WHERE study_instance_uid = old.study_instance_uid AND instance_count = 0; END;

-- Who sent how much of a study, twice a second while it comes: from the index alone.
DROP INDEX instance_of_study;
CREATE INDEX instance_of_study ON instance (study_instance_uid, calling_ae_title, kind);

CREATE INDEX conflict_of_study ON conflict (study_instance_uid);

-- A job that goes is looked for in its events, since these refer to it.
CREATE INDEX event_of_job ON event (job_id) WHERE job_id IS NOT NULL;
-- Whether a repeated object was told before; objects may come again by the thousand.
CREATE INDEX event_of_duplicate ON event (study_instance_uid, reason) WHERE action = 'duplicate';
-- Events that name an object of another study: the reason of a conflict begins with its UID.
CREATE INDEX event_of_conflict ON event (substr(reason, 1, instr(reason, ' ') - 1)) WHERE action = 'conflict';
