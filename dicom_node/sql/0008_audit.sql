-- Syslog records of the audit trail that have not arrived at the collector yet, in their order; bounded in number.
CREATE TABLE audit_record (
    record_id INTEGER PRIMARY KEY AUTOINCREMENT,
    text      TEXT NOT NULL
) STRICT;
