-- Statements of removal, by name. A colon marks a parameter.

-- name: leased_job_of_study
-- The job of a study that a living worker holds.
SELECT job_id, worker FROM job
WHERE study_instance_uid = :study_instance_uid AND state = 'running' AND lease_until > :now;

-- name: study_counts
-- How much there is of a study.
SELECT coalesce((SELECT instance_count FROM study WHERE study_instance_uid = :study_instance_uid), 0) AS instances,
       (SELECT count(*) FROM result JOIN job USING (job_id) WHERE study_instance_uid = :study_instance_uid) AS results,
       (SELECT count(*) FROM event WHERE study_instance_uid = :study_instance_uid) AS events;

-- name: conflicts_of_study
-- Objects in conflict that belong to a study, or contradict an object of it.
SELECT study_instance_uid, sop_instance_uid, digest FROM conflict
WHERE study_instance_uid = :study_instance_uid OR sop_instance_uid IN (
    SELECT sop_instance_uid FROM instance WHERE study_instance_uid = :study_instance_uid
);

-- name: forget_deliveries
-- All deliveries of a study.
DELETE FROM delivery WHERE job_id IN (SELECT job_id FROM job WHERE study_instance_uid = :study_instance_uid);

-- name: forget_unproven
-- What is to be proved of a study.
DELETE FROM unproven WHERE delivery_id IN (
    SELECT delivery_id FROM delivery JOIN job USING (job_id) WHERE study_instance_uid = :study_instance_uid
);

-- name: forget_research_copies
-- What was wanted of a study; the copies are results.
DELETE FROM research_copy WHERE study_instance_uid = :study_instance_uid;

-- name: forget_results
-- All results of a study.
DELETE FROM result WHERE job_id IN (SELECT job_id FROM job WHERE study_instance_uid = :study_instance_uid);

-- name: forget_events
-- All events of a study, and those of other studies that name an object of it: a conflict's reason begins with its UID.
-- The plus takes the column's type from the comparison, which keeps it from the index otherwise.
DELETE FROM event WHERE event_id IN (
    SELECT event_id FROM event WHERE study_instance_uid = :study_instance_uid
    UNION SELECT event_id FROM instance CROSS JOIN event
        ON action = 'conflict' AND substr(reason, 1, instr(reason, ' ') - 1) = +sop_instance_uid
    WHERE instance.study_instance_uid = :study_instance_uid
);

-- name: forget_conflicts
-- All that `conflicts_of_study` names.
DELETE FROM conflict
WHERE study_instance_uid = :study_instance_uid OR sop_instance_uid IN (
    SELECT sop_instance_uid FROM instance WHERE study_instance_uid = :study_instance_uid
);

-- name: forget_jobs
-- All jobs of a study.
DELETE FROM job WHERE study_instance_uid = :study_instance_uid;

-- name: forget_instances
-- All instances of a study.
DELETE FROM instance WHERE study_instance_uid = :study_instance_uid;

-- name: studies_done_with
-- Studies, or the `only` one, that are done: no job is under way, the newest is neither held nor failed, and no delivery
-- is on its way or dead, or sent to a peer of the JSON array `proving` that has not proved to keep it, no research copy is
-- to be made. An older job that was held or failed does not count: the newest saw all that it saw. A study
-- of which no image came has no job, and nothing to wait for. The one that has been left alone for longest comes first.
-- A UID is digits and dots, and a colon sorts behind both: `only` narrows the range to one.
SELECT study_instance_uid, max(last_received_at, coalesce(
    (SELECT max(finished_at) FROM job WHERE job.study_instance_uid = study.study_instance_uid), last_received_at
)) AS last_at
FROM study WHERE study_instance_uid BETWEEN coalesce(:only, '') AND coalesce(:only, ':') AND NOT EXISTS (
    SELECT 1 FROM job WHERE job.study_instance_uid = study.study_instance_uid AND (
        job.state NOT IN ('done', 'held', 'failed')
        OR job.state <> 'done' AND NOT EXISTS (
            SELECT 1 FROM job AS later
            WHERE later.study_instance_uid = job.study_instance_uid AND later.job_id > job.job_id
        )
    )
) AND NOT EXISTS (
    SELECT 1 FROM job JOIN delivery USING (job_id) JOIN result USING (result_id, job_id)
    WHERE job.study_instance_uid = study.study_instance_uid AND delivery.state <> 'committed'
      AND (delivery.state <> 'sent' OR kind = 'result' AND delivery.peer IN (SELECT value FROM json_each(:proving)))
) AND NOT EXISTS (
    SELECT 1 FROM research_copy
    WHERE research_copy.study_instance_uid = study.study_instance_uid AND research_copy.state = 'wanted'
) ORDER BY last_at, study_instance_uid;
