-- Statements of calls, by name. A colon marks a parameter.

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
