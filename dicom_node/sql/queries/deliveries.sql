-- Statements of results and deliveries, by name. A colon marks a parameter.

-- name: add_result
-- A result object, safely on disk.
INSERT INTO result (job_id, path, modality, sop_class_uid, sop_instance_uid, series_instance_uid)
VALUES (:job_id, :path, :modality, :sop_class_uid, :sop_instance_uid, :series_instance_uid) RETURNING result_id;

-- name: result_of_job
-- A result that a job has made before.
SELECT result_id FROM result WHERE job_id = :job_id AND sop_instance_uid = :sop_instance_uid;

-- name: reports_of_study
-- The Structured Reports of a study's jobs before one job, newest first, with who was to get them.
SELECT job_id, path, modality, sop_class_uid, sop_instance_uid, series_instance_uid, summary,
       (SELECT json_group_array(peer) FROM delivery
        WHERE delivery.result_id = result.result_id AND delivery.state <> 'dead') AS peers
FROM result JOIN job USING (job_id)
WHERE study_instance_uid = :study_instance_uid AND job_id < :before_job AND modality = 'SR' AND kind = 'result'
ORDER BY job_id DESC, result_id;

-- name: add_delivery
-- A result object on its way to one peer, due at once; what was on its way or has arrived before stays as it is.
INSERT INTO delivery (job_id, result_id, peer, due_at) VALUES (:job_id, :result_id, :peer, :now)
ON CONFLICT (result_id, peer) DO NOTHING;

-- name: delivery_by_id
-- One delivery, with what is told about it.
SELECT delivery_id, job_id, peer, delivery.state AS state, delivery.reason AS reason, modality, study_instance_uid, kind
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
) ORDER BY +delivery_id; -- sorted afterwards: by the number itself all that ever arrived would be looked at

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
SELECT delivery_id, job_id, peer, delivery.state AS state, delivery.reason AS reason, modality, study_instance_uid, kind
FROM delivery JOIN result USING (result_id, job_id) JOIN job USING (job_id)
WHERE study_instance_uid = :study_instance_uid ORDER BY delivery_id;

-- name: send_again
-- A decided delivery begins anew, due at once.
UPDATE delivery SET state = 'pending', attempt = 1, reason = '', status = NULL, due_at = :now, failing_since = NULL
WHERE delivery_id = :delivery_id;

-- name: deliveries_of_jobs
-- Every delivery of results of the jobs in a JSON array, in sending order; of one that lacks its proof, why there is none.
SELECT job_id, peer, state, attempt, sop_class_uid, sop_instance_uid, path, modality,
       iif(state = 'sent', coalesce(unproven.reason, delivery.reason), delivery.reason) AS reason,
       state = 'sent' AND unproven.delivery_id IS NOT NULL AS is_unproven
FROM delivery JOIN result USING (result_id, job_id) LEFT JOIN unproven USING (delivery_id)
WHERE job_id IN (SELECT value FROM json_each(:job_ids)) AND kind = 'result' ORDER BY delivery_id;
