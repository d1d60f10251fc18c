"""Pseudonyms by HMAC-SHA256 (RFC 2104): the same value and key, the same pseudonym; without the key, no way back.

Nothing is stored: whoever has the key can work out a known patient's pseudonym again, and nobody else can.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from sr_writer.provenance import derived_uid

#: Letters alone: a number in a pseudonym could be taken for an identifier by the check that follows.
_LETTERS = "ABCDEFGHIJKLMNOP"
#: Dates go back by one to ten years; a day of a year says nothing then.
_FEWEST_DAYS, _MOST_DAYS = 365, 3650


@dataclass(frozen=True, slots=True)
class Patient:
    """Who an object is of: Patient ID with its issuer, or where there is no ID the study alone."""

    issuer: str
    patient_id: str


class Pseudonyms:
    """All that stands for somebody or something else, under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def patient(self, patient: Patient) -> str:
        """Patient ID and name of the copy: R and 20 letters (80 bits)."""
        return f"R{self._letters(20, 'patient', patient.issuer, patient.patient_id)}"

    def accession_number(self, number: str) -> str:
        """16 letters, as many as an SH may have (64 bits)."""
        return self._letters(16, "accession number", number)

    def uid(self, uid: str) -> str:
        """The UID of the copy. The node knows it for its own, so that a copy that is sent back is not analysed."""
        return derived_uid("research copy", self._digest("uid", uid).hex())

    def days_back(self, patient: Patient) -> int:
        """By how many days the dates of this patient are earlier."""
        number = int.from_bytes(self._digest("dates", patient.issuer, patient.patient_id)[:8])
        return _FEWEST_DAYS + number % (_MOST_DAYS - _FEWEST_DAYS + 1)

    def _letters(self, count: int, *message: str) -> str:
        return "".join(_LETTERS[int(digit, 16)] for digit in self._digest(*message).hex()[:count])

    def _digest(self, *message: str) -> bytes:
        # lengths first: ("ab", "c") and ("a", "bc") are different messages
        parts = (part.encode() for part in message)
        return hmac.digest(self._key, b"".join(len(part).to_bytes(4) + part for part in parts), hashlib.sha256)
