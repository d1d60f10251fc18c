"""What an idle worker asks: what is still arriving."""

from __future__ import annotations

from dicom_node.domain.study import SeriesArriving
from dicom_node.store.ledger import Ledger


class Arriving(Ledger):
    """Nothing is changed here."""

    def series_arriving(self) -> tuple[SeriesArriving, ...]:
        """The series of studies that are not settled, those of the most urgent study first."""
        return tuple(SeriesArriving(*row) for row in self._run("series_arriving"))
