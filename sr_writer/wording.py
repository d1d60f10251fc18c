"""Findings and answers in plain words, the same in snapshots, presentation states and the report's page. English,
ASCII, no patient data."""

from __future__ import annotations

from collections.abc import Mapping

from inference.findings import Agreement, Measurement, Outcome, Quantity, StageRun
from sr_writer.described import DescribedFinding

RESEARCH_USE_ONLY = (
    "Research use only. Made by artificial intelligence without human review. "
    "Not a medical device, not for diagnosis or treatment."
)
#: For the space of one line.
RESEARCH_ONLY = "AI - research use only, not for diagnosis"

_NUMBERS: Mapping[Quantity, str] = {
    Quantity.VOLUME_ML: "{:.1f} ml",
    Quantity.LONG_AXIS_MM: "{:.0f} mm",
    Quantity.SHORT_AXIS_MM: "x {:.0f} mm",
}


def numbers(measurements: tuple[Measurement, ...]) -> str:
    """What was measured, short enough for an overlay."""
    return " ".join(_NUMBERS[each.quantity].format(each.value) for each in measurements)


def finding(described: DescribedFinding) -> str:
    """A finding's name, numbers and score."""
    parts = [described.label, numbers(described.measurements), f"score {described.score:.2f}", described.seen_on]
    return ", ".join(part for part in parts if part)


def stage(run: StageRun) -> str:
    """What a stage answered, or why it did not, but for its findings."""
    if run.outcome is not Outcome.COMPLETE:
        return f"{run.stage}: {run.outcome}, {run.reason}"
    if run.classification is not None:
        answer = f"{run.stage}: {run.classification.label}, score {run.classification.score:.2f}"
        if run.header is None or run.header.agreement is Agreement.AGREES:
            return answer
        told = f"the header says {run.header.stated}" if run.header.stated else "the header is silent"
        return f"{answer} ({told})"
    if run.found_nothing:
        return f"{run.stage}: looked for, none found"
    return f"{run.stage}: {len(run.segments) + len(run.regions)} found"


def ascii_only(text: str) -> str:
    """Text in the letters that every font has; others become question marks."""
    return text.encode("ascii", "replace").decode("ascii")
