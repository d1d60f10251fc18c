-- Statements of a clock that was set, by name. A colon marks a parameter.

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
