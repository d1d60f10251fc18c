-- Statements of what is told, by name. A colon marks a parameter.

-- name: newest_studies
-- The studies something came of last, the newest first.
SELECT study_instance_uid FROM study ORDER BY received_at DESC, study_instance_uid LIMIT :most;

-- name: studies
-- How the studies in a JSON array stand, by their newest jobs; a study of which no image came has none. Newest study first.
SELECT study.study_instance_uid, instance_count, image_count, received_at,
       job_id, state, outcome, reason, attempt, urgency, last_image_at, settled_at, finished_at, summary,
       EXISTS (SELECT 1 FROM prior WHERE prior.study_instance_uid = study.study_instance_uid) AS is_prior
FROM study LEFT JOIN job ON job_id = (
    SELECT max(job_id) FROM job AS any_job WHERE any_job.study_instance_uid = study.study_instance_uid
) WHERE study.study_instance_uid IN (SELECT value FROM json_each(:studies))
ORDER BY received_at DESC, study.study_instance_uid;

-- name: events_of_study
-- What happened to a study, in order.
SELECT at, study_instance_uid, job_id, action, reason FROM event
WHERE study_instance_uid = :study_instance_uid ORDER BY event_id;

-- name: studies_beginning
-- The studies whose UID begins so, at most three. A UID is digits and dots, and a colon sorts behind both.
SELECT study_instance_uid FROM study
WHERE study_instance_uid >= :beginning AND study_instance_uid < :beginning || ':'
UNION SELECT study_instance_uid FROM conflict
WHERE study_instance_uid >= :beginning AND study_instance_uid < :beginning || ':'
ORDER BY study_instance_uid LIMIT 3;

-- name: study_exists
-- A row if something of the study was received.
SELECT study_instance_uid FROM study WHERE study_instance_uid = :study_instance_uid
UNION SELECT study_instance_uid FROM conflict WHERE study_instance_uid = :study_instance_uid;

-- name: jobs_of_study
-- Every job of a study, the oldest first.
SELECT * FROM job WHERE study_instance_uid = :study_instance_uid ORDER BY job_id;

-- name: results_of_job
-- How many results a job has.
SELECT count(*) AS number FROM result WHERE job_id = :job_id AND kind = 'result';
