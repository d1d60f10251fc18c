"""An Analysis in plain words and numbers, for `status`, `analyze` and the demo. No patient data, no pixels."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from inference.findings import Agreement, Analysis, Outcome, Region, Segment, StageRun, VolumeAnalysis


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class FindingSummary(_Record):
    """One lesion, or one thing with a box around it."""

    label: str
    number: int
    score: float
    #: First and last slice of the stack on which it is seen, counted from 0.
    slices: tuple[int, int]
    #: Left, top, right and bottom in pixels, of all slices together.
    bounds: tuple[float, float, float, float]
    measurements: dict[str, float]


class StageSummary(_Record):
    """One stage run."""

    stage: str
    task: str
    outcome: str
    reason: str
    label: str | None
    score: float | None
    #: agrees, disagrees or silent, and the header's own word; None where nothing is compared.
    header: str | None
    stated: str | None
    findings: tuple[FindingSummary, ...]
    algorithm: str | None
    seconds: float


class HeatMapSummary(_Record):
    """Of one heat map all but its values, or why there is none."""

    stage: str
    label: str
    slice: int
    method: str
    reason: str


class VolumeSummary(_Record):
    """One stack of images."""

    series_instance_uid: str
    stack_number: int
    stack_label: str
    slices: int
    rows: int
    columns: int
    #: What is wrong with its pictures.
    quality: tuple[str, ...]
    stages: tuple[StageSummary, ...]
    #: What stages in shadow would have said; it is told nowhere else.
    shadow: tuple[StageSummary, ...]
    #: If they were asked for.
    heat_maps: tuple[HeatMapSummary, ...] = ()


class ExclusionSummary(_Record):
    """One instance that was left out."""

    sop_instance_uid: str
    reason: str


class StudySummary(_Record):
    """Everything that was seen, found, and not done."""

    study_instance_uid: str
    outcome: str
    volumes: tuple[VolumeSummary, ...]
    exclusions: tuple[ExclusionSummary, ...]

    @property
    def seen(self) -> str:
        """The answers of the classifiers, stack by stack."""
        stacks = []
        for volume in self.volumes:
            labels = [_answer_in_words(stage) for stage in volume.stages if stage.label is not None]
            stacks.append(" > ".join(labels) or "nothing known")
        return "; ".join(dict.fromkeys(stacks)) or "no images"

    @property
    def found(self) -> str:
        """The lesions, or that a stage looked and found none."""
        parts = []
        for stage in (stage for volume in self.volumes for stage in volume.stages):
            if stage.task == "classification" or stage.outcome != Outcome.COMPLETE:
                continue
            parts += [_in_words(finding) for finding in stage.findings] or [f"{stage.stage}: none found"]
        return "; ".join(parts)

    @property
    def not_analysed(self) -> str:
        """What was not done, with the reasons, each once."""
        stages = [
            f"{stage.stage}: {stage.reason}" for volume in self.volumes for stage in volume.stages if stage.reason
        ]
        return "; ".join(dict.fromkeys([*stages, *(exclusion.reason for exclusion in self.exclusions)]))


def _answer_in_words(stage: StageSummary) -> str:
    doubt = f", but the header says {stage.stated}" if stage.header == Agreement.DISAGREES else ""
    return f"{stage.label} ({stage.score:.2f}{doubt})"


def _in_words(finding: FindingSummary) -> str:
    numbers = ", ".join(f"{value:.1f} {name.rpartition('_')[2]}" for name, value in finding.measurements.items())
    return f"{finding.label} {finding.number} ({numbers or f'score {finding.score:.2f}'})"


def _finding(segment: Segment) -> FindingSummary:
    return FindingSummary(
        label=segment.label,
        number=segment.number,
        score=round(segment.mean_score, 4),
        slices=segment.slice_extent,
        bounds=segment.mask.bounds,
        measurements={str(m.quantity): round(m.value, 3) for m in segment.measurements},
    )


def _boxed(region: Region, number: int) -> FindingSummary:
    return FindingSummary(
        label=f"{region.label} box",
        number=number,
        score=round(region.score, 4),
        slices=region.slice_extent,
        bounds=(round(region.left, 1), round(region.top, 1), round(region.right, 1), round(region.bottom, 1)),
        measurements={},
    )


def _stage(run: StageRun) -> StageSummary:
    answer = run.classification
    return StageSummary(
        stage=run.stage,
        task=run.task,
        outcome=run.outcome,
        reason=run.reason,
        label=None if answer is None else answer.label,
        score=None if answer is None else round(answer.score, 4),
        header=None if run.header is None else run.header.agreement,
        stated=None if run.header is None else run.header.stated,
        findings=(
            *(_finding(segment) for segment in run.segments),
            *(_boxed(region, number) for number, region in enumerate(run.regions, start=1)),
        ),
        algorithm=None if run.algorithm is None else f"{run.algorithm.name} {run.algorithm.version}",
        seconds=round(run.seconds, 3),
    )


def _volume(analysis: VolumeAnalysis) -> VolumeSummary:
    volume = analysis.volume
    slices, rows, columns = volume.shape
    return VolumeSummary(
        series_instance_uid=volume.series_instance_uid,
        stack_number=volume.stack_number,
        stack_label=volume.stack_label,
        slices=slices,
        rows=rows,
        columns=columns,
        quality=tuple(flag.text for flag in analysis.quality),
        stages=tuple(_stage(run) for run in analysis.runs),
        shadow=tuple(_stage(run) for run in analysis.shadow),
        heat_maps=tuple(
            HeatMapSummary(stage=h.stage, label=h.label, slice=h.slice_index, method=h.method, reason=h.reason)
            for h in analysis.heat_maps
        ),
    )


def summarise(analysis: Analysis) -> StudySummary:
    """What a person wants to know of an analysis."""
    return StudySummary(
        study_instance_uid=analysis.study_instance_uid,
        outcome=analysis.outcome,
        volumes=tuple(_volume(volume) for volume in analysis.volumes),
        exclusions=tuple(
            ExclusionSummary(sop_instance_uid=e.sop_instance_uid, reason=e.reason) for e in analysis.exclusions
        ),
    )
