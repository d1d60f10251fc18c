-- Statements of what peers refuse, by name. A colon marks a parameter.

-- name: refused_classes
-- What every peer has refused since.
SELECT peer, sop_class_uid FROM refused_class WHERE since > :after ORDER BY peer, sop_class_uid;

-- name: remember_refusal
-- A peer refuses a SOP class, perhaps once more.
INSERT INTO refused_class (peer, sop_class_uid, since, reason) VALUES (:peer, :sop_class_uid, :now, :reason)
ON CONFLICT DO UPDATE SET since = excluded.since, reason = excluded.reason;

-- name: forget_refusals
-- A peer is to be asked once more.
DELETE FROM refused_class WHERE peer = :peer RETURNING peer;

-- name: pending_for_peer
-- What of a job is on its way to a peer, in sending order.
SELECT delivery_id, job_id, peer, delivery.state AS state, delivery.reason AS reason, modality, study_instance_uid
FROM delivery JOIN result USING (result_id, job_id) JOIN job USING (job_id)
WHERE job_id = :job_id AND peer = :peer AND delivery.state = 'pending' AND kind = 'result' ORDER BY delivery_id;

-- name: forget_proofs_of_pending
-- What is not sent is not to be proved.
DELETE FROM unproven WHERE delivery_id IN (
    SELECT delivery_id FROM delivery WHERE job_id = :job_id AND peer = :peer AND state = 'pending'
);

-- name: take_back
-- What of a job is on its way to a peer is not sent.
DELETE FROM delivery WHERE job_id = :job_id AND peer = :peer AND state = 'pending'
AND result_id IN (SELECT result_id FROM result WHERE job_id = :job_id AND kind = 'result');

-- name: ask_for_substitution
-- Results of a job are to be made anew for a peer.
INSERT INTO substitution (job_id, peer, sop_class_uid, in_its_place, asked_at)
VALUES (:job_id, :peer, :sop_class_uid, :in_its_place, :now);

-- name: peers_to_make_anew_for
-- Whom results of a job are to be made anew for.
SELECT DISTINCT peer FROM substitution WHERE job_id = :job_id AND made_at IS NULL ORDER BY peer;

-- name: claim_substitutions
-- A worker makes what is to be made anew of a job; what is asked for from now on is not among it.
UPDATE substitution SET worker = :worker WHERE job_id = :job_id AND made_at IS NULL;

-- name: peers_of_substitutions
-- Whom a worker makes results of a job anew for.
SELECT DISTINCT peer FROM substitution
WHERE job_id = :job_id AND worker = :worker AND made_at IS NULL ORDER BY peer;

-- name: note_substitutions
-- They are made.
UPDATE substitution SET made_at = :now WHERE job_id = :job_id AND worker = :worker AND made_at IS NULL;

-- name: drop_substitutions
-- They are not to be made any more.
DELETE FROM substitution WHERE job_id = :job_id AND made_at IS NULL;

-- name: substitutions_of_study
-- What was made anew, or is to be, of a study's jobs, in the order it was asked for.
SELECT job_id, peer, sop_class_uid, in_its_place, asked_at, made_at FROM substitution JOIN job USING (job_id)
WHERE study_instance_uid = :study_instance_uid ORDER BY substitution_id;

-- name: forget_substitutions
-- All substitutions of a study.
DELETE FROM substitution WHERE job_id IN (SELECT job_id FROM job WHERE study_instance_uid = :study_instance_uid);
