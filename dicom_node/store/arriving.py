"""What an idle worker asks: what is still arriving, and whether there is something better to do."""

from __future__ import annotations

from dicom_node.domain.study import SeriesArriving
from dicom_node.domain.urgency import MOST_OVERTAKEN
from dicom_node.store.ledger import Ledger


class Arriving(Ledger):
    """Nothing is changed here."""

    def series_arriving(self) -> tuple[SeriesArriving, ...]:
        """The series of studies that are not settled, those of the most urgent study first."""
        return tuple(SeriesArriving(*row) for row in self._run("series_arriving"))

    def is_claimable(self) -> bool:
        """Whether a settled study waits for a worker."""
        return self._row("next_job", most_overtaken=MOST_OVERTAKEN) is not None
