-- Statements of proofs that results are kept, by name. A colon marks a parameter.

-- name: await_proofs
-- What a peer has and has not proved to keep yet is to be proved from now on.
INSERT INTO unproven (delivery_id, due_at)
SELECT delivery_id, :now FROM delivery JOIN result USING (result_id, job_id)
WHERE state = 'sent' AND peer = :peer AND kind = 'result'
ON CONFLICT DO NOTHING;

-- name: await_no_proofs
-- Of peers that are not in the JSON array nothing is to be proved any more.
DELETE FROM unproven WHERE (
    SELECT peer FROM delivery WHERE delivery.delivery_id = unproven.delivery_id
) NOT IN (SELECT value FROM json_each(:proving));

-- name: unproven_due
-- What a peer may be asked for now, and what it was asked for and has not reported on in time; the oldest first. A job
-- that is still being sent to it is not asked for.
SELECT delivery_id, peer, study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid,
       transaction_uid, asked, unproven.failing_since AS failing_since, missing_since
FROM unproven JOIN delivery USING (delivery_id) JOIN result USING (result_id, job_id) JOIN job USING (job_id)
WHERE delivery.state = 'sent' AND peer = :peer AND unproven.due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM delivery AS other
    WHERE other.job_id = delivery.job_id AND other.peer = delivery.peer AND other.state = 'pending'
) ORDER BY delivery_id LIMIT :most;

-- name: unproven_of_transaction
-- What was asked for in one request whose report may still come.
SELECT delivery_id, peer, study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid,
       transaction_uid, asked, unproven.failing_since AS failing_since, missing_since
FROM unproven JOIN delivery USING (delivery_id) JOIN result USING (result_id, job_id) JOIN job USING (job_id)
WHERE delivery.state = 'sent' AND transaction_uid = :transaction_uid ORDER BY delivery_id;

-- name: note_asked
-- A request is about to go out.
UPDATE unproven SET transaction_uid = :transaction_uid, asked = asked + 1, due_at = :due_at
WHERE delivery_id = :delivery_id;

-- name: unproven_by_id
-- One row, if its delivery still waits for this transaction, or for none.
SELECT unproven.reason AS reason FROM unproven JOIN delivery USING (delivery_id)
WHERE delivery_id = :delivery_id AND delivery.state = 'sent' AND transaction_uid IS :transaction_uid;

-- name: note_no_word
-- There was no answer, or none that tells; it is asked for again.
UPDATE unproven SET transaction_uid = NULL, reason = :reason, due_at = :due_at,
                    failing_since = coalesce(failing_since, :now)
WHERE delivery_id = :delivery_id;

-- name: note_missing
-- The peer does not have it; after it was sent again it is asked for anew.
UPDATE unproven SET transaction_uid = NULL, asked = 0, reason = :reason, due_at = :due_at, failing_since = NULL,
                    missing_since = coalesce(missing_since, :now)
WHERE delivery_id = :delivery_id;

-- name: forget_proof
-- It is proved, or is nothing to be proved any more.
DELETE FROM unproven WHERE delivery_id = :delivery_id;

-- name: note_committed
-- The peer has proved that it keeps it.
UPDATE delivery SET state = 'committed' WHERE delivery_id = :delivery_id;

-- name: send_missing_again
-- The peer does not have what it has taken.
UPDATE delivery SET state = 'pending', attempt = attempt + 1, reason = :reason, status = NULL, due_at = :due_at,
                    failing_since = NULL
WHERE delivery_id = :delivery_id;
