-- Statements of peers that cannot be reached, by name. A colon marks a parameter.

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
