-- Statements of the audit trail, by name. A colon marks a parameter.

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
