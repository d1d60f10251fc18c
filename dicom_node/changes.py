"""What a later analysis of a study says that the earlier one did not: sentences for a reader of the report."""

from __future__ import annotations

from collections.abc import Iterator

from dicom_node.summary import FindingSummary, StudySummary

#: A measurement that changes by less, as part of its earlier value, is the same to a reader.
_NOTABLE = 0.01
#: (series, stack, stage, label, number) tells findings apart as a reader does.
_Key = tuple[str, int, str, str, int]


def changes_between(before: StudySummary, now: StudySummary) -> tuple[str, ...]:
    """In the order: images, outcome, models, answers, findings."""
    changes = (*_images(before, now), *_outcome(before, now), *_models(before, now), *_answers(before, now),
               *_findings(before, now))  # fmt: skip
    return tuple(changes) or ("Nothing that was seen or found has changed.",)


def _images(before: StudySummary, now: StudySummary) -> Iterator[str]:
    was, is_now = (sum(volume.slices for volume in each.volumes) for each in (before, now))
    if was != is_now:
        yield f"{is_now} slices were analysed, {was} before."
    known = {volume.series_instance_uid for volume in before.volumes}
    new = {volume.series_instance_uid for volume in now.volumes} - known
    if new:
        yield f"{len(new)} series are new."


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
    was, is_now = (_labels(each) for each in (before, now))
    for key, label in is_now.items():
        if key in was and was[key] != label:
            yield f"{key[2]} is {label}, it was {was[key]}."


def _labels(summary: StudySummary) -> dict[tuple[str, int, str], str]:
    """What each stage of each stack answered, or how it ended where it did not."""
    return {
        (volume.series_instance_uid, volume.stack_number, stage.stage): stage.label or stage.outcome
        for volume in summary.volumes
        for stage in volume.stages
    }


def _findings(before: StudySummary, now: StudySummary) -> Iterator[str]:
    was, is_now = (dict(_found(each)) for each in (before, now))
    for key, finding in is_now.items():
        name = f"{finding.label} {finding.number}"
        if key not in was:
            yield f"{name} is new{_told(finding)}."
        else:
            yield from (f"{name}: {change}" for change in _measured(was[key], finding))
    for key, finding in was.items():
        if key not in is_now:
            yield f"{finding.label} {finding.number} is not found any more{_told(finding)}."


def _found(summary: StudySummary) -> Iterator[tuple[_Key, FindingSummary]]:
    for volume in summary.volumes:
        for stage in volume.stages:
            for finding in stage.findings:
                place = volume.series_instance_uid, volume.stack_number, stage.stage
                yield (*place, finding.label, finding.number), finding


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
