"""An answer from the pixels beside what the header states: evidence for a reader, and for the way on."""

from __future__ import annotations

from collections.abc import Sequence

from inference.findings import Agreement, HeaderCheck
from inference.interpret import plane_of
from inference.stages import HeaderRule
from inference.volume import Volume


def compare(label: str, classes: Sequence[str], rule: HeaderRule, volume: Volume) -> HeaderCheck:
    """Whether the header says of the volume what `label` says. A term that is none of the classes disagrees."""
    term = stated_term(rule, volume)
    if not term or term in _upper(rule.indefinite):
        return HeaderCheck(Agreement.SILENT, term)
    agrees = stated_class(classes, rule, volume) == label
    return HeaderCheck(Agreement.AGREES if agrees else Agreement.DISAGREES, term)


def stated_class(classes: Sequence[str], rule: HeaderRule, volume: Volume) -> str | None:
    """The class that the header's term stands for; None where it is silent, or names none of them."""
    term = stated_term(rule, volume)
    return next((name for name in classes if term in _upper(rule.terms.get(name, (name,)))), None)


def stated_term(rule: HeaderRule, volume: Volume) -> str:
    """What the attribute of the rule says, in capitals; empty where it is silent."""
    match rule.attribute:
        case "modality":
            return volume.stated.modality.upper()
        case "body_part":
            return volume.stated.body_part.upper()
        case "plane":
            return (plane_of(volume) or "").upper()


def _upper(terms: Sequence[str]) -> tuple[str, ...]:
    return tuple(term.upper() for term in terms)
