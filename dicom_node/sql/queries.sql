-- Every statement the store runs, by name. A colon marks a parameter.

-- name: add_event
-- Something happened to a study.
INSERT INTO event (at, study_instance_uid, job_id, action, reason)
VALUES (:now, :study_instance_uid, :job_id, :action, :reason);

-- name: add_event_once
-- Something happened to a study that may happen any number of times: the first time is told.
INSERT INTO event (at, study_instance_uid, job_id, action, reason)
SELECT :now, :study_instance_uid, NULL, :action, :reason WHERE NOT EXISTS (
    SELECT 1 FROM event WHERE study_instance_uid = :study_instance_uid AND action = :action AND reason = :reason
);

-- name: instance_by_uid
-- What is known of one instance.
SELECT study_instance_uid, digest FROM instance WHERE sop_instance_uid = :sop_instance_uid;

-- name: add_instance
-- A new instance, whose file is safely on disk.
INSERT INTO instance (
    sop_instance_uid, study_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid,
    kind, path, size_bytes, digest, urgency, calling_ae_title, received_at
) VALUES (
    :sop_instance_uid, :study_instance_uid, :series_instance_uid, :sop_class_uid, :transfer_syntax_uid,
    :kind, :path, :size_bytes, :digest, :urgency, :calling_ae_title, :now
);

-- name: add_conflict
-- Other bytes under a known SOP Instance UID; sent once more, they are still one conflict, and no row is returned.
INSERT OR IGNORE INTO conflict (sop_instance_uid, digest, study_instance_uid, path, calling_ae_title, received_at)
VALUES (:sop_instance_uid, :digest, :study_instance_uid, :path, :calling_ae_title, :now) RETURNING digest;

-- name: instances_of_study
-- Everything received for a study, in the order of arrival.
SELECT sop_instance_uid, sop_class_uid, transfer_syntax_uid, series_instance_uid, study_instance_uid,
       kind, path, size_bytes, digest, urgency
FROM instance WHERE study_instance_uid = :study_instance_uid ORDER BY rowid;

-- name: newest_job
-- The job that says how a study stands.
SELECT * FROM job WHERE study_instance_uid = :study_instance_uid ORDER BY job_id DESC LIMIT 1;

-- name: job_by_id
-- One job.
SELECT * FROM job WHERE job_id = :job_id;

-- name: open_job
-- The first image of a study, or the first after its last job left the waiting room; as urgent as all that came so far.
INSERT INTO job (study_instance_uid, state, reason, opened_at, last_image_at, urgency)
SELECT :study_instance_uid, :state, :reason, :now, :now, coalesce(max(urgency), 'routine')
FROM instance WHERE study_instance_uid = :study_instance_uid AND kind = 'image' RETURNING *;

-- name: note_image
-- One more image; a clock that was set back does not make the study older, nor a less urgent image the study less urgent.
UPDATE job SET last_image_at = max(last_image_at, :now), urgency = max(urgency, :urgency) WHERE job_id = :job_id;

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

-- name: note_waiting
-- What a study that is being received waits for; written when that is news.
UPDATE job SET reason = :reason
WHERE study_instance_uid = :study_instance_uid AND state = 'receiving' AND reason <> :reason;

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
-- Studies that are still arriving, as the settling decision sees them, the most urgent first.
SELECT job.study_instance_uid, opened_at, last_image_at, urgency,
       (SELECT count(*) FROM instance
        WHERE instance.study_instance_uid = job.study_instance_uid AND kind = 'image') AS image_count
FROM job WHERE state = 'receiving' ORDER BY urgency DESC, opened_at, job_id;

-- name: senders_of_studies_receiving
-- Who has sent images of these studies, and how much else; what this node made itself does not count.
SELECT study_instance_uid, calling_ae_title, count(*) AS instance_count
FROM job JOIN instance USING (study_instance_uid) WHERE state = 'receiving' AND kind <> 'own result'
GROUP BY study_instance_uid, calling_ae_title HAVING sum(kind = 'image') > 0 ORDER BY calling_ae_title;

-- name: own_objects
-- A row if this node has made results of a study, or such have come back to it.
SELECT 1 FROM job JOIN result USING (job_id) WHERE study_instance_uid = :study_instance_uid
UNION SELECT 1 FROM instance WHERE study_instance_uid = :study_instance_uid AND kind = 'own result';

-- name: jobs_without_lease
-- Running jobs whose worker has not been heard of in time.
SELECT * FROM job WHERE state = 'running' AND lease_until <= :now ORDER BY job_id;

-- name: next_job
-- The job whose turn it is, of a study that no other worker is busy with: one that was overtaken often enough, else the
-- most urgent; of several the one that waits longest.
SELECT * FROM job WHERE state = 'ready' AND NOT EXISTS (
    SELECT 1 FROM job AS other WHERE other.study_instance_uid = job.study_instance_uid AND other.state = 'running'
) ORDER BY overtaken >= :most_overtaken DESC, urgency DESC, settled_at, job_id LIMIT 1;

-- name: note_overtaken
-- The job that has waited longest was passed over, if it has waited longer than the one that was claimed.
UPDATE job SET overtaken = overtaken + 1 WHERE job_id = (
    SELECT job_id FROM job WHERE state = 'ready' AND NOT EXISTS (
        SELECT 1 FROM job AS other WHERE other.study_instance_uid = job.study_instance_uid AND other.state = 'running'
    ) ORDER BY settled_at, job_id LIMIT 1
) AND (settled_at, job_id) < (:settled_at, :job_id);

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

-- name: studies
-- How every study stands, or the `only` one, by its newest job; a study of which no image came has none. Newest study first.
SELECT study.study_instance_uid, instance_count, image_count, received_at,
       job_id, state, outcome, reason, attempt, urgency, last_image_at, settled_at, finished_at, summary,
       EXISTS (SELECT 1 FROM prior WHERE prior.study_instance_uid = study.study_instance_uid) AS is_prior
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
SELECT count(*) AS number FROM result WHERE job_id = :job_id AND kind = 'result';

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
-- is on its way or dead, or sent to a peer of the JSON array `proving` that has not proved to keep it, no research copy is
-- to be made. An older job that was held or failed does not count: the newest saw all that it saw. A study
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
    WHERE job.study_instance_uid = study.study_instance_uid AND delivery.state <> 'committed'
      AND (delivery.state <> 'sent' OR kind = 'result' AND delivery.peer IN (SELECT value FROM json_each(:proving)))
) AND NOT EXISTS (
    SELECT 1 FROM research_copy
    WHERE research_copy.study_instance_uid = study.study_instance_uid AND research_copy.state = 'wanted'
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

-- name: await_proofs
-- What a peer has and has not proved to keep yet is to be proved from now on.
INSERT INTO unproven (delivery_id, due_at)
SELECT delivery_id, :now FROM delivery JOIN result USING (result_id, job_id)
WHERE state = 'sent' AND peer = :peer AND kind = 'result'
ON CONFLICT DO NOTHING;

-- name: await_no_proofs
-- Of peers that are not in the JSON array nothing is to be proved any more.
DELETE FROM unproven WHERE delivery_id IN (
    SELECT delivery_id FROM delivery WHERE peer NOT IN (SELECT value FROM json_each(:proving))
);

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

-- name: promise_of_transaction
-- The request of a peer under this transaction UID that waits for its report.
SELECT * FROM promise WHERE peer = :peer AND transaction_uid = :transaction_uid;

-- name: promises_open
-- How many requests of a peer wait for their reports.
SELECT count(*) AS number FROM promise WHERE peer = :peer;

-- name: add_promise
-- A request.
INSERT INTO promise (peer, transaction_uid, due_at) VALUES (:peer, :transaction_uid, :due_at) RETURNING promise_id;

-- name: add_promise_item
-- One object of it.
INSERT INTO promise_item (promise_id, place, sop_class_uid, sop_instance_uid)
VALUES (:promise_id, :place, :sop_class_uid, :sop_instance_uid);

-- name: promise_items
-- The objects of a request, in its order.
SELECT sop_class_uid, sop_instance_uid FROM promise_item WHERE promise_id = :promise_id ORDER BY place;

-- name: promises_due
-- Requests of a peer that are to be reported on now, the oldest first.
SELECT * FROM promise WHERE peer = :peer AND due_at <= :now ORDER BY promise_id;

-- name: strange_promises
-- Requests of peers that are not in the JSON array.
SELECT promise_id, peer FROM promise WHERE peer NOT IN (SELECT value FROM json_each(:peers));

-- name: postpone_promise
-- The report is tried once more, later.
UPDATE promise SET attempt = attempt + 1, due_at = :due_at, failing_since = coalesce(failing_since, :now)
WHERE promise_id = :promise_id;

-- name: forget_promise_items
-- The objects of a request that had its report, or never will.
DELETE FROM promise_item WHERE promise_id = :promise_id;

-- name: forget_promise
-- The request itself.
DELETE FROM promise WHERE promise_id = :promise_id;

-- name: holding
-- What there is under a SOP Instance UID, and whether this caller has sent something else under it.
SELECT study_instance_uid, sop_class_uid, path, EXISTS (
    SELECT 1 FROM conflict
    WHERE conflict.sop_instance_uid = instance.sop_instance_uid AND conflict.calling_ae_title = :calling_ae_title
) AS contradicted
FROM instance WHERE sop_instance_uid = :sop_instance_uid;

-- name: instances_held
-- Every instance that was received under a study, what was set aside included.
SELECT sop_instance_uid FROM instance WHERE study_instance_uid = :study_instance_uid
UNION SELECT sop_instance_uid FROM conflict WHERE study_instance_uid = :study_instance_uid;

-- name: add_prior
-- A study that is being fetched as a prior, perhaps once more.
INSERT OR REPLACE INTO prior (study_instance_uid, noted_at) VALUES (:study_instance_uid, :now);

-- name: prior_by_study
-- A row if a study was fetched as a prior.
SELECT study_instance_uid, noted_at FROM prior WHERE study_instance_uid = :study_instance_uid;

-- name: forget_prior
-- That a study was fetched as a prior.
DELETE FROM prior WHERE study_instance_uid = :study_instance_uid;

-- name: breaker_of_peer
-- How a peer has failed to answer of late; no row when it has not.
SELECT * FROM unreachable_peer WHERE peer = :peer;

-- name: note_breaker
-- One more failure to reach a peer.
INSERT INTO unreachable_peer (peer, failures, since, reason, next_try_at)
VALUES (:peer, :failures, :since, :reason, :next_try_at)
ON CONFLICT DO UPDATE SET failures = excluded.failures, since = excluded.since, reason = excluded.reason,
    next_try_at = excluded.next_try_at;

-- name: forget_breaker
-- The peer answers.
DELETE FROM unreachable_peer WHERE peer = :peer;

-- name: try_peer_now
-- A person would have it tried before its time.
UPDATE unreachable_peer SET next_try_at = :now WHERE peer = :peer AND next_try_at > :now;

-- name: tell_jobs_that_wait
-- One event for each job with deliveries that wait for a peer, where the reason is news.
INSERT INTO event (at, study_instance_uid, job_id, action, reason)
SELECT :now, study_instance_uid, job_id, 'postponed', count(*) || ' objects to ' || :peer || ': ' || :reason
FROM delivery JOIN job USING (job_id)
WHERE peer = :peer AND delivery.state = 'pending' AND delivery.reason <> :reason GROUP BY job_id;

-- name: note_unreachable
-- All that waits for a peer that cannot be reached fails for that reason, from now on if not from earlier.
UPDATE delivery SET reason = :reason, failing_since = coalesce(failing_since, :now)
WHERE peer = :peer AND state = 'pending';

-- name: release_waiting
-- All that waits for a peer is due.
UPDATE delivery SET due_at = :now WHERE peer = :peer AND state = 'pending' AND due_at > :now;

-- name: count_waiting
-- How many objects wait for a peer.
SELECT count(*) AS number FROM delivery WHERE peer = :peer AND state = 'pending';

-- name: destinations
-- Every peer that something waits for, that cannot be reached, or that refused something of late. Where it can be
-- reached the next try is that of the first object.
SELECT known.peer AS peer, coalesce(waiting, 0) AS waiting, unreachable_peer.since AS since,
       coalesce(unreachable_peer.reason, queue.reason) AS reason,
       coalesce(next_try_at, due_at) AS next_try_at,
       (SELECT json_group_array(sop_class_uid) FROM refused_class
        WHERE refused_class.peer = known.peer AND refused_class.since > :after) AS refused
FROM (
    SELECT peer FROM delivery WHERE state = 'pending' UNION SELECT peer FROM unreachable_peer
    UNION SELECT peer FROM refused_class WHERE since > :after
) AS known
LEFT JOIN (
    SELECT peer, count(*) AS waiting, min(due_at) AS due_at, max(reason) AS reason
    FROM delivery WHERE state = 'pending' GROUP BY peer
) AS queue USING (peer)
LEFT JOIN unreachable_peer USING (peer)
ORDER BY known.peer;

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

-- name: add_audit_record
-- One more that waits for the collector.
INSERT INTO audit_record (text) VALUES (:text);

-- name: audit_records_waiting
-- How many wait.
SELECT count(*) AS number FROM audit_record;

-- name: oldest_audit_records
-- What is to be sent next, in order.
SELECT record_id, text FROM audit_record ORDER BY record_id LIMIT :most;

-- name: forget_audit_records
-- Those up to this one have arrived.
DELETE FROM audit_record WHERE record_id <= :record_id;

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

-- name: follow_clock_proofs
-- No proof is asked for later than after the longest wait from now; how long there is none is what has passed.
UPDATE unproven SET due_at = min(due_at, :latest), failing_since = min(failing_since + :by, :now),
                    missing_since = min(missing_since + :by, :now);

-- name: follow_clock_promises
-- The same of reports to peers.
UPDATE promise SET due_at = min(due_at, :latest), failing_since = min(failing_since + :by, :now);

-- name: follow_clock_breakers
-- The same of peers that cannot be reached.
UPDATE unreachable_peer SET next_try_at = min(next_try_at, :latest), since = min(since + :by, :now);

-- name: follow_clock_copies
-- How long research copies have failed is what has passed.
UPDATE research_copy SET failing_since = min(failing_since + :by, :now) WHERE state = 'wanted';
