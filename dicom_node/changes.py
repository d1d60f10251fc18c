"""What a later analysis of a study says that the earlier one did not: sentences for a reader of the report.

Findings are the same where they overlap in the same stack, by the same stage and label; their numbers go by size and
may change meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

from dicom_node.summary import FindingSummary, StageSummary, StudySummary
from inference.findings import Outcome

#: A measurement that changes by less, as part of its earlier value, is the same to a reader.
_NOTABLE = 0.01
#: (series, stack, stage): where a question was asked.
_Place = tuple[str, int, str]


def changes_between(before: StudySummary, now: StudySummary) -> tuple[str, ...]:
    """In the order: images, outcome, models, answers, findings."""
    changes = (*_images(before, now), *_outcome(before, now), *_models(before, now), *_answers(before, now),
               *_findings(before, now))  # fmt: skip
    return tuple(changes) or ("Nothing that was seen, found or left out has changed.",)


def _images(before: StudySummary, now: StudySummary) -> Iterator[str]:
    was, is_now = (sum(volume.slices for volume in each.volumes) for each in (before, now))
    if was != is_now:
        yield f"{is_now} slices were analysed, {was} before."
    known, present = ({volume.series_instance_uid for volume in each.volumes} for each in (before, now))
    if present - known:
        yield f"{len(present - known)} series are new."
    if known - present:
        yield f"{len(known - present)} series that were analysed before are not now."
    left_out, left_out_now = ({each.sop_instance_uid for each in summary.exclusions} for summary in (before, now))
    if left_out_now - left_out:
        yield f"{len(left_out_now - left_out)} more instances are left out."
    if left_out - left_out_now:
        yield f"{len(left_out - left_out_now)} instances that were left out are not any more."
    quality, quality_now = ({text for v in each.volumes for text in v.quality} for each in (before, now))
    yield from (f"Image quality: {text}." for text in sorted(quality_now - quality))


def _outcome(before: StudySummary, now: StudySummary) -> Iterator[str]:
    if before.outcome != now.outcome:
        yield f"The analysis is {now.outcome}, it was {before.outcome}."


def _models(before: StudySummary, now: StudySummary) -> Iterator[str]:
    was, is_now = (_algorithms(each) for each in (before, now))
    for added in sorted(is_now - was):
        yield f"{added} was used, and was not before."
    for gone in sorted(was - is_now):
        yield f"{gone} was used before, and is not now."


def _algorithms(summary: StudySummary) -> set[str]:
    return {stage.algorithm for volume in summary.volumes for stage in volume.stages if stage.algorithm}


def _answers(before: StudySummary, now: StudySummary) -> Iterator[str]:
    was, is_now = (_stages(each) for each in (before, now))
    for place, stage in is_now.items():
        if place in was and _answer(was[place]) != _answer(stage):
            yield f"{stage.stage} is {_answer(stage)}, it was {_answer(was[place])}."


def _answer(stage: StageSummary) -> str:
    """What it said, or how it ended where it did not."""
    return stage.label or stage.outcome


def _stages(summary: StudySummary) -> dict[_Place, StageSummary]:
    return {
        (volume.series_instance_uid, volume.stack_number, stage.stage): stage
        for volume in summary.volumes
        for stage in volume.stages
    }


def _findings(before: StudySummary, now: StudySummary) -> Iterator[str]:
    was, is_now = _stages(before), _stages(now)
    for place in dict.fromkeys((*is_now, *was)):
        earlier, later = was.get(place), is_now.get(place)
        looked = later is not None and later.outcome == Outcome.COMPLETE
        yield from _paired(earlier.findings if earlier else (), later.findings if later else (), looked=looked)


def _paired(earlier: tuple[FindingSummary, ...], later: tuple[FindingSummary, ...], *, looked: bool) -> Iterator[str]:
    left = list(earlier)
    for finding in later:
        same = max(left, key=lambda each: _overlap(each, finding), default=None)
        if same is None or not _overlap(same, finding):
            yield f"{_name(finding)} is new{_told(finding)}."
            continue
        left.remove(same)
        renamed = "" if _name(same) == _name(finding) else f" (before: {_name(same)})"
        yield from (f"{_name(finding)}{renamed}: {change}" for change in _measured(same, finding))
    for finding in left:
        if looked:
            yield f"{_name(finding)} is not found any more{_told(finding)}."
        else:
            yield f"{_name(finding)} was found before{_told(finding)}; now nobody looked for it."


def _overlap(one: FindingSummary, other: FindingSummary) -> float:
    """Common pixels times common slices; 0 for what has another label or another place."""
    if one.label != other.label:
        return 0.0
    slices = min(one.slices[1], other.slices[1]) - max(one.slices[0], other.slices[0]) + 1
    width = min(one.bounds[2], other.bounds[2]) - max(one.bounds[0], other.bounds[0])
    height = min(one.bounds[3], other.bounds[3]) - max(one.bounds[1], other.bounds[1])
    return max(slices, 0) * max(width, 0.0) * max(height, 0.0)


def _name(finding: FindingSummary) -> str:
    return f"{finding.label} {finding.number}"


def _told(finding: FindingSummary) -> str:
    numbers = ", ".join(f"{value:.1f} {_unit(name)}" for name, value in finding.measurements.items())
    return f" ({numbers})" if numbers else ""


def _measured(was: FindingSummary, is_now: FindingSummary) -> Iterator[str]:
    for name, value in is_now.measurements.items():
        earlier = was.measurements.get(name)
        if earlier is not None and abs(value - earlier) > _NOTABLE * abs(earlier):
            quantity = name.removesuffix(f"_{_unit(name)}").replace("_", " ")
            yield f"{quantity} {value:.1f} {_unit(name)}, was {earlier:.1f} {_unit(name)}."


def _unit(quantity: str) -> str:
    """The last word of a quantity's name (`volume_ml`)."""
    return quantity.rpartition("_")[2]
