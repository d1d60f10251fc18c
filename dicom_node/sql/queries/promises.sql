-- Statements of what peers asked this node to commit to, by name. A colon marks a parameter.

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
