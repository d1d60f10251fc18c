-- Peers that cannot be reached, for the circuit breaker of the outbox; who answers has no row.
CREATE TABLE unreachable_peer (
    peer        TEXT PRIMARY KEY,
    failures    INTEGER NOT NULL CHECK (failures > 0), -- in a row
    since       REAL NOT NULL,                         -- the first of them
    reason      TEXT NOT NULL,                         -- of the last
    next_try_at REAL                                   -- null while each delivery is tried by itself
) STRICT;
CREATE INDEX delivery_pending_for ON delivery (peer) WHERE state = 'pending';
