-- Every statement the store runs, by name. A colon marks a parameter.

-- name: add_event
-- Something happened to a study.
INSERT INTO event (at, study_instance_uid, job_id, action, reason)
VALUES (:now, :study_instance_uid, :job_id, :action, :reason);

-- name: instance_by_uid
-- What is known of one instance.
SELECT study_instance_uid, digest FROM instance WHERE sop_instance_uid = :sop_instance_uid;

-- name: add_instance
-- A new instance, whose file is safely on disk.
INSERT INTO instance (
    sop_instance_uid, study_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid,
    kind, path, size_bytes, digest, calling_ae_title, received_at
) VALUES (
    :sop_instance_uid, :study_instance_uid, :series_instance_uid, :sop_class_uid, :transfer_syntax_uid,
    :kind, :path, :size_bytes, :digest, :calling_ae_title, :now
);

-- name: add_conflict
-- Other bytes under a known SOP Instance UID; sent once more, they are still one conflict.
INSERT OR IGNORE INTO conflict (sop_instance_uid, digest, study_instance_uid, path, calling_ae_title, received_at)
VALUES (:sop_instance_uid, :digest, :study_instance_uid, :path, :calling_ae_title, :now);

-- name: instances_of_study
-- Everything received for a study, in the order of arrival.
SELECT sop_instance_uid, sop_class_uid, transfer_syntax_uid, series_instance_uid, study_instance_uid,
       kind, path, size_bytes, digest
FROM instance WHERE study_instance_uid = :study_instance_uid ORDER BY rowid;

-- name: newest_job
-- The job that says how a study stands.
SELECT * FROM job WHERE study_instance_uid = :study_instance_uid ORDER BY job_id DESC LIMIT 1;

-- name: job_by_id
-- One job.
SELECT * FROM job WHERE job_id = :job_id;

-- name: open_job
-- The first image of a study, or the first after its last job left the waiting room.
INSERT INTO job (study_instance_uid, state, reason, opened_at, last_image_at)
VALUES (:study_instance_uid, :state, :reason, :now, :now) RETURNING *;

-- name: note_image
-- One more image; a clock that was set back does not make the study older.
UPDATE job SET last_image_at = max(last_image_at, :now) WHERE job_id = :job_id;

-- name: move_job
-- A step of the state machine. Only a running job has a lease, and this ends it.
UPDATE job SET state = :state, reason = :reason, worker = NULL, lease_until = NULL WHERE job_id = :job_id;

-- name: lease_job
-- The step to running: a worker takes the job, for a time; the reason stays that of its wait.
UPDATE job SET state = 'running', worker = :worker, lease_until = :lease_until, attempt = attempt + 1
WHERE job_id = :job_id RETURNING *;

-- name: extend_lease
-- A sign of life, if the lease is still this worker's.
UPDATE job SET lease_until = :lease_until WHERE job_id = :job_id AND state = 'running' AND worker = :worker
RETURNING job_id;

-- name: note_settled
-- When the study was judged complete; null when a late image proved that wrong.
UPDATE job SET settled_at = :settled_at WHERE job_id = :job_id;

-- name: note_outcome
-- What the analysis came to.
UPDATE job SET outcome = :outcome, summary = :summary WHERE job_id = :job_id;

-- name: begin_anew
-- A person lets it go on: it has all its attempts again.
UPDATE job SET attempt = 0, finished_at = NULL WHERE job_id = :job_id;

-- name: note_finished
-- When the analysis ended, well or not.
UPDATE job SET finished_at = :now WHERE job_id = :job_id;

-- name: studies_receiving
-- Studies that are still arriving, as the settling decision sees them.
SELECT job.study_instance_uid, opened_at, last_image_at,
       (SELECT count(*) FROM instance
        WHERE instance.study_instance_uid = job.study_instance_uid AND kind = 'image') AS image_count
FROM job WHERE state = 'receiving' ORDER BY opened_at, job_id;

-- name: jobs_without_lease
-- Running jobs whose worker has not been heard of in time.
SELECT * FROM job WHERE state = 'running' AND lease_until <= :now ORDER BY job_id;

-- name: next_job
-- The oldest job that waits, of a study that no other worker is busy with.
SELECT * FROM job WHERE state = 'ready' AND NOT EXISTS (
    SELECT 1 FROM job AS other WHERE other.study_instance_uid = job.study_instance_uid AND other.state = 'running'
) ORDER BY settled_at, job_id LIMIT 1;

-- name: add_result
-- A result object, safely on disk.
INSERT INTO result (job_id, path, modality, sop_class_uid, sop_instance_uid, series_instance_uid)
VALUES (:job_id, :path, :modality, :sop_class_uid, :sop_instance_uid, :series_instance_uid) RETURNING result_id;

-- name: reports_of_study
-- The Structured Reports of a study's jobs before one job, newest first, with who was to get them.
SELECT job_id, path, modality, sop_class_uid, sop_instance_uid, series_instance_uid, summary,
       (SELECT json_group_array(peer) FROM delivery
        WHERE delivery.result_id = result.result_id AND delivery.state <> 'dead') AS peers
FROM result JOIN job USING (job_id)
WHERE study_instance_uid = :study_instance_uid AND job_id < :before_job AND modality = 'SR'
ORDER BY job_id DESC, result_id;

-- name: add_delivery
-- A result object on its way to one peer, due at once.
INSERT INTO delivery (job_id, result_id, peer, due_at) VALUES (:job_id, :result_id, :peer, :now);

-- name: delivery_by_id
-- One delivery, with what is told about it.
SELECT delivery_id, job_id, peer, delivery.state AS state, delivery.reason AS reason, modality, study_instance_uid
FROM delivery JOIN result USING (result_id, job_id) JOIN job USING (job_id) WHERE delivery_id = :delivery_id;

-- name: deliveries_due
-- What may be sent now, in sending order. An object of the same job and peer that waits holds back all behind it,
-- since a report must not arrive before the segmentation it refers to.
SELECT delivery_id, job_id, peer, path, sop_class_uid, sop_instance_uid, attempt, failing_since
FROM delivery JOIN result USING (result_id, job_id)
WHERE state = 'pending' AND due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM delivery AS ahead
    WHERE ahead.job_id = delivery.job_id AND ahead.peer = delivery.peer AND ahead.delivery_id < delivery.delivery_id
      AND ahead.state = 'pending' AND ahead.due_at > :now
) ORDER BY delivery_id;

-- name: postpone_delivery
-- One try more, later.
UPDATE delivery SET attempt = attempt + 1, reason = :reason, due_at = :due_at,
                    failing_since = coalesce(failing_since, :now)
WHERE delivery_id = :delivery_id;

-- name: decide_delivery
-- The end of a delivery.
UPDATE delivery SET state = :state, reason = :reason, status = :status WHERE delivery_id = :delivery_id;

-- name: deliveries_of_study
-- Every delivery of every job of a study, in sending order, with what is told about it.
SELECT delivery_id, job_id, peer, delivery.state AS state, delivery.reason AS reason, modality, study_instance_uid
FROM delivery JOIN result USING (result_id, job_id) JOIN job USING (job_id)
WHERE study_instance_uid = :study_instance_uid ORDER BY delivery_id;

-- name: send_again
-- A decided delivery begins anew, due at once.
UPDATE delivery SET state = 'pending', attempt = 1, reason = '', status = NULL, due_at = :now, failing_since = NULL
WHERE delivery_id = :delivery_id;

-- name: deliveries_of_jobs
-- Every delivery of the jobs in a JSON array, in sending order.
SELECT job_id, peer, state, attempt, reason, sop_class_uid, sop_instance_uid, path, modality
FROM delivery JOIN result USING (result_id, job_id)
WHERE job_id IN (SELECT value FROM json_each(:job_ids)) ORDER BY delivery_id;

-- name: studies
-- How every study stands, or the `only` one, by its newest job; a study of which no image came has none. Newest study first.
SELECT study.study_instance_uid, instance_count, image_count, received_at,
       job_id, state, outcome, reason, attempt, last_image_at, settled_at, finished_at, summary
FROM (
    SELECT study_instance_uid, count(*) AS instance_count, sum(kind = 'image') AS image_count,
           min(received_at) AS received_at
    FROM instance WHERE study_instance_uid = coalesce(:only, study_instance_uid) GROUP BY study_instance_uid
) AS study
LEFT JOIN job ON job_id = (SELECT max(job_id) FROM job AS any_job
                           WHERE any_job.study_instance_uid = study.study_instance_uid)
ORDER BY received_at DESC, study.study_instance_uid LIMIT :most;

-- name: events_of_study
-- What happened to a study, in order.
SELECT at, study_instance_uid, job_id, action, reason FROM event
WHERE study_instance_uid = :study_instance_uid ORDER BY event_id;

-- name: studies_beginning
-- The studies whose UID begins so, at most three. A UID is digits and dots, and a colon sorts behind both.
SELECT study_instance_uid FROM instance
WHERE study_instance_uid >= :beginning AND study_instance_uid < :beginning || ':'
UNION SELECT study_instance_uid FROM conflict
WHERE study_instance_uid >= :beginning AND study_instance_uid < :beginning || ':'
ORDER BY study_instance_uid LIMIT 3;

-- name: study_exists
-- A row if something of the study was received.
SELECT study_instance_uid FROM instance WHERE study_instance_uid = :study_instance_uid
UNION SELECT study_instance_uid FROM conflict WHERE study_instance_uid = :study_instance_uid;

-- name: jobs_of_study
-- Every job of a study, the oldest first.
SELECT * FROM job WHERE study_instance_uid = :study_instance_uid ORDER BY job_id;

-- name: results_of_job
-- How many results a job has.
SELECT count(*) AS number FROM result WHERE job_id = :job_id;

-- name: leased_job_of_study
-- The job of a study that a living worker holds.
SELECT job_id, worker FROM job
WHERE study_instance_uid = :study_instance_uid AND state = 'running' AND lease_until > :now;

-- name: study_counts
-- How much there is of a study.
SELECT (SELECT count(*) FROM instance WHERE study_instance_uid = :study_instance_uid) AS instances,
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

-- name: forget_results
-- All results of a study.
DELETE FROM result WHERE job_id IN (SELECT job_id FROM job WHERE study_instance_uid = :study_instance_uid);

-- name: forget_events
-- All events of a study, and those of other studies that name an object of it: a conflict's reason begins with its UID.
DELETE FROM event WHERE study_instance_uid = :study_instance_uid OR (
    action = 'conflict' AND substr(reason, 1, instr(reason, ' ') - 1) IN (
        SELECT sop_instance_uid FROM instance WHERE study_instance_uid = :study_instance_uid
    )
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
-- is on its way or dead. An older job that was held or failed does not count: the newest saw all that it saw. A study
-- of which no image came has no job, and nothing to wait for. The one that has been left alone for longest comes first.
SELECT study.study_instance_uid, max(received_at, coalesce(finished_at, received_at)) AS last_at
FROM (
    SELECT study_instance_uid, max(received_at) AS received_at FROM instance
    WHERE study_instance_uid = coalesce(:only, study_instance_uid) GROUP BY study_instance_uid
) AS study LEFT JOIN (
    SELECT study_instance_uid, max(finished_at) AS finished_at FROM job GROUP BY study_instance_uid
) AS work USING (study_instance_uid)
WHERE NOT EXISTS (
    SELECT 1 FROM job WHERE job.study_instance_uid = study.study_instance_uid AND (
        job.state NOT IN ('done', 'held', 'failed')
        OR job.state <> 'done' AND NOT EXISTS (
            SELECT 1 FROM job AS later
            WHERE later.study_instance_uid = job.study_instance_uid AND later.job_id > job.job_id
        )
    )
) AND NOT EXISTS (
    SELECT 1 FROM job JOIN delivery USING (job_id)
    WHERE job.study_instance_uid = study.study_instance_uid AND delivery.state NOT IN ('sent', 'committed')
) ORDER BY last_at, study.study_instance_uid;

-- name: record_call
-- One more call, or several alike.
INSERT INTO call (
    calling_ae_title, address, called_ae_title, outcome, reason, remedy, refused, first_at, last_at, count
) VALUES (
    :calling_ae_title, :address, :called_ae_title, :outcome, :reason, :remedy, :refused, :first_at, :last_at, :count
) ON CONFLICT DO UPDATE SET reason = excluded.reason, remedy = excluded.remedy, refused = excluded.refused,
    last_at = excluded.last_at, count = count + excluded.count;

-- name: forget_old_calls
-- Keep the latest of each outcome: strangers, however many, drive out no record of an accepted call.
DELETE FROM call WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER (PARTITION BY outcome ORDER BY last_at DESC) AS place FROM call
    ) WHERE place > :most
);

-- name: calls
-- Who called, the latest first.
SELECT * FROM call ORDER BY last_at DESC, rowid DESC LIMIT :most;

-- name: follow_clock_receiving
-- The clock was set: the quiet time of studies goes on. An image that came since has its time by the new clock.
UPDATE job SET last_image_at = min(last_image_at + :by, :now) WHERE state = 'receiving';

-- name: follow_clock_leases
-- No lease ends later than one that begins now.
UPDATE job SET lease_until = min(lease_until, :latest) WHERE state = 'running';

-- name: follow_clock_deliveries
-- No try is later than the longest wait from now; how long the peer has failed is what has passed.
UPDATE delivery SET due_at = min(due_at, :latest), failing_since = min(failing_since + :by, :now)
WHERE state = 'pending';

-- name: latest_at
-- When anything happened last.
SELECT max(at) AS at FROM (
    SELECT at FROM (SELECT at FROM event ORDER BY event_id DESC LIMIT 1)
    UNION ALL SELECT received_at FROM (SELECT received_at FROM instance ORDER BY rowid DESC LIMIT 1)
);
