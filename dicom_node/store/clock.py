"""What waits for a time of day, when the clock is set: bounded, so that nothing waits longer than it ever may."""

from __future__ import annotations

from dicom_node.commitment import LONGEST_DEADLINE_S
from dicom_node.domain.delivery import LONGEST_DELAY_S
from dicom_node.domain.job import LEASE_S
from dicom_node.store.ledger import Ledger

#: The longest wait and the chance on top of it; domain/delivery.py.
_LONGEST_WAIT_S = LONGEST_DELAY_S * 1.25


class Clock(Ledger):
    """Times that follow the clock."""

    def follow_clock(self, *, by: float, now: float) -> None:
        """The clock was set by so many seconds, forward above 0: what waits goes on as if it had not been.

        Quiet times and how long a delivery has failed count what has passed, not what the clock says. No lease and no
        wait ends later than it may, counted from now.
        """
        with self._database.change():
            self._run("follow_clock_receiving", by=by, now=now)
            self._run("follow_clock_leases", latest=now + LEASE_S)
            self._run("follow_clock_deliveries", by=by, now=now, latest=now + _LONGEST_WAIT_S)
            self._run("follow_clock_breakers", by=by, now=now, latest=now + _LONGEST_WAIT_S)
            self._run("follow_clock_proofs", by=by, now=now, latest=now + LONGEST_DEADLINE_S)
            self._run("follow_clock_promises", by=by, now=now, latest=now + _LONGEST_WAIT_S)
            self._run("follow_clock_copies", by=by, now=now)

    def latest_at(self) -> float | None:
        """When anything happened last; None when nothing has."""
        [row] = self._run("latest_at")
        return None if row["at"] is None else float(row["at"])
