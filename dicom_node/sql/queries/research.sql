-- Statements of research copies, by name. A colon marks a parameter.

-- name: want_images
-- Copies of the images of a study; of those that were left out or failed once more, of those that are made none.
INSERT INTO research_copy (study_instance_uid, sop_instance_uid, job_id, path)
SELECT study_instance_uid, sop_instance_uid, :job_id, path FROM instance
WHERE study_instance_uid = :study_instance_uid AND kind = 'image' ORDER BY rowid
ON CONFLICT DO UPDATE SET job_id = excluded.job_id, state = 'wanted', reason = '', attempt = 0, failing_since = NULL
WHERE state <> 'made';

-- name: want_results
-- Copies of the results of a job; the same.
INSERT INTO research_copy (study_instance_uid, sop_instance_uid, job_id, path)
SELECT :study_instance_uid, sop_instance_uid, job_id, path FROM result
WHERE job_id = :job_id AND kind = 'result' ORDER BY result_id
ON CONFLICT DO UPDATE SET job_id = excluded.job_id, state = 'wanted', reason = '', attempt = 0, failing_since = NULL
WHERE state <> 'made';

-- name: next_research_copy
-- The one that has been wanted for longest, unless as many copies as may be wait to be sent.
SELECT * FROM research_copy WHERE state = 'wanted' AND (
    SELECT count(*) FROM delivery JOIN result USING (result_id, job_id)
    WHERE delivery.state = 'pending' AND kind = 'research copy'
) < :most ORDER BY rowid LIMIT 1;

-- name: begin_research_copy
-- A worker has taken it up.
UPDATE research_copy SET attempt = attempt + 1
WHERE study_instance_uid = :study_instance_uid AND sop_instance_uid = :sop_instance_uid;

-- name: research_copy
-- One of them.
SELECT * FROM research_copy
WHERE study_instance_uid = :study_instance_uid AND sop_instance_uid = :sop_instance_uid;

-- name: postpone_research_copy
-- One try more; this one came to an end.
UPDATE research_copy SET attempt = 0, reason = :reason, failing_since = coalesce(failing_since, :now)
WHERE study_instance_uid = :study_instance_uid AND sop_instance_uid = :sop_instance_uid;

-- name: decide_research_copy
-- Made, or not to be made.
UPDATE research_copy SET state = :state, reason = :reason
WHERE study_instance_uid = :study_instance_uid AND sop_instance_uid = :sop_instance_uid;

-- name: add_copy
-- A copy that is to be sent, safely on disk; nothing where the job has it already.
INSERT INTO result (job_id, path, modality, sop_class_uid, sop_instance_uid, series_instance_uid, kind)
VALUES (:job_id, :path, :modality, :sop_class_uid, :sop_instance_uid, :series_instance_uid, 'research copy')
ON CONFLICT DO NOTHING RETURNING result_id;

-- name: wanted_of_job
-- How many copies of a job are still wanted.
SELECT count(*) AS number FROM research_copy WHERE job_id = :job_id AND state = 'wanted';

-- name: research_copies_of_job
-- How many copies of a job stand where, and why.
SELECT state, reason, count(*) AS number FROM research_copy WHERE job_id = :job_id
GROUP BY state, reason ORDER BY state DESC, reason;

-- name: research_copies_of_study
-- The same of a study.
SELECT state, reason, count(*) AS number FROM research_copy WHERE study_instance_uid = :study_instance_uid
GROUP BY state, reason ORDER BY state DESC, reason;

-- name: research_deliveries_of_job
-- How many deliveries of copies of a job stand where, and why.
SELECT delivery.state AS state, reason, count(*) AS number FROM delivery JOIN result USING (result_id, job_id)
WHERE job_id = :job_id AND kind = 'research copy' GROUP BY delivery.state, reason ORDER BY delivery.state DESC, reason;

-- name: research_deliveries_of_study
-- The same of a study.
SELECT delivery.state AS state, delivery.reason AS reason, count(*) AS number
FROM delivery JOIN result USING (result_id, job_id) JOIN job USING (job_id)
WHERE study_instance_uid = :study_instance_uid AND kind = 'research copy'
GROUP BY delivery.state, delivery.reason ORDER BY delivery.state DESC, delivery.reason;
