"""Findings with everything that all result objects must say in the same way: identity, words, codes, outlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom import Dataset
from pydicom.sr.coding import Code

from inference.findings import (
    Algorithm,
    Analysis,
    HeatMap,
    Measurement,
    QualityFlag,
    Quantity,
    Region,
    Segment,
    StageRun,
    VolumeAnalysis,
)
from inference.volume import FrameReference, Volume
from inference.voxels import together
from sr_writer import codes
from sr_writer.colour import COLOURS, Colour, colour_of
from sr_writer.inheritance import classified_region, numbers_of, stated_frame_of_reference
from sr_writer.outlines import Outline, box, trace
from sr_writer.profiles import SegmentPer
from sr_writer.provenance import Provenance, derived_uid, device_uid, named


@dataclass(frozen=True, slots=True, eq=False)
class DescribedFinding:
    """One lesion or box as every object names it."""

    source: Segment | Region
    algorithm: Algorithm
    concept: Code
    site: Code | None
    #: The pair that says "the same lesion" in SR, SEG and GSPS (TID 4108; IHE AIR 6.5.3.7).
    tracking_id: str
    tracking_uid: str
    #: For a reader, at most 64 characters.
    label: str
    score: float
    #: Every contour on every slice.
    outlines: tuple[Outline, ...]
    #: The contour that stands for the finding where only one can be shown.
    main: Outline
    measurements: tuple[Measurement, ...] = ()
    #: (red, green, blue) in every object that has colours.
    colour: Colour = COLOURS[0]
    #: On how many slices it is seen.
    slice_count: int = 1
    #: Which images it is seen on, as a viewer numbers them; empty for a picture of its own.
    seen_on: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class DescribedVolume:
    """One volume, what its stages answered, and its findings."""

    #: 1-based within the analysis.
    number: int
    volume: Volume
    runs: tuple[StageRun, ...]
    #: Headers of the volume's frames in the order of its slices; a multi-frame instance repeats.
    headers: tuple[Dataset, ...]
    findings: tuple[DescribedFinding, ...]
    #: What is voxels, lesion by lesion or all of a label together; the n-th is Segment Number n in the volume's SEG.
    segments: tuple[DescribedFinding, ...]
    quality: tuple[QualityFlag, ...]
    heat_maps: tuple[HeatMap, ...]
    #: Frame of Reference UID of the images, or one derived from their series where they state none; None where they
    #: state several.
    frame_of_reference_uid: str | None

    @property
    def states_frame_of_reference(self) -> bool:
        """Whether the images state the Frame of Reference themselves."""
        return bool(stated_frame_of_reference(self.headers[0]))

    def frame(self, outline: Outline) -> FrameReference:
        """The source frame that an outline lies on."""
        return self.volume.frames[outline.slice_index]


def describe(analysis: Analysis, provenance: Provenance, segment_per: SegmentPer) -> tuple[DescribedVolume, ...]:
    """Describe all volumes. Raises ValueError for a finding without an algorithm or without a single pixel."""
    return tuple(
        _describe_volume(number, each, provenance, segment_per) for number, each in enumerate(analysis.volumes, start=1)
    )


def _describe_volume(
    volume_number: int, analysed: VolumeAnalysis, provenance: Provenance, segment_per: SegmentPer
) -> DescribedVolume:
    headers = tuple(provenance.sources[frame.sop_instance_uid] for frame in analysed.volume.frames)
    findings = tuple(
        _describe_finding(finding, number, run, analysed, headers)
        for run in analysed.runs
        for number, finding in _numbered(run)
    )
    findings = _coloured(findings)
    lesions = tuple(each for each in findings if isinstance(each.source, Segment))
    return DescribedVolume(
        number=volume_number,
        volume=analysed.volume,
        runs=analysed.runs,
        headers=headers,
        findings=findings,
        segments=lesions if segment_per is SegmentPer.LESION else _together(lesions),
        quality=analysed.quality,
        heat_maps=analysed.heat_maps,
        frame_of_reference_uid=_frame_of_reference(headers, analysed.volume),
    )


def _coloured(findings: Sequence[DescribedFinding]) -> tuple[DescribedFinding, ...]:
    """Outlines before boxes, each with a colour of its own as far as there are enough."""
    ordered = sorted(findings, key=lambda each: not isinstance(each.source, Segment))
    return tuple(replace(each, colour=colour_of(number)) for number, each in enumerate(ordered))


def _frame_of_reference(headers: Sequence[Dataset], volume: Volume) -> str | None:
    stated = {stated_frame_of_reference(header) for header in headers}
    if len(stated) > 1:
        return None
    return stated.pop() or derived_uid("frame of reference", volume.series_instance_uid)


def _together(lesions: Sequence[DescribedFinding]) -> tuple[DescribedFinding, ...]:
    """One for each label of each algorithm; a lesion that is alone stays itself."""
    groups: dict[tuple[Algorithm, str], list[DescribedFinding]] = {}
    for lesion in lesions:
        groups.setdefault((lesion.algorithm, lesion.source.label), []).append(lesion)
    return tuple(members[0] if len(members) == 1 else _merged(members) for members in groups.values())


def _merged(members: Sequence[DescribedFinding]) -> DescribedFinding:
    """Voxels of all, and the sum of their volumes."""
    sources = [each.source for each in members if isinstance(each.source, Segment)]
    sizes = [each.mask.count for each in sources]
    volumes = [m.value for each in sources for m in each.measurements if m.quantity is Quantity.VOLUME_ML]
    first, label = members[0], f"{plain(sources[0].label)}, all"[-64:]
    outlines = tuple(outline for each in members for outline in each.outlines)
    whole = Segment(
        label=sources[0].label,
        number=len(sources),
        mask=together([each.mask for each in sources]),
        mean_score=float(np.average([each.mean_score for each in sources], weights=sizes)),
        measurements=(Measurement(Quantity.VOLUME_ML, sum(volumes)),) if len(volumes) == len(sources) else (),
    )
    return replace(
        first,
        source=whole,
        tracking_id=f"{label}, {first.tracking_id.partition(', ')[2]}",
        tracking_uid=derived_uid("tracking all", *(each.tracking_uid for each in members)),
        label=label,
        score=whole.mean_score,
        outlines=outlines,
        measurements=whole.measurements,
        slice_count=len({outline.slice_index for outline in outlines}),
    )


def _numbered(run: StageRun) -> Iterator[tuple[int, Segment | Region]]:
    """Findings with the number that names them: a segment's own, a region's place in the stage run."""
    for segment in run.segments:
        yield segment.number, segment
    yield from enumerate(run.regions, start=1)


def _describe_finding(
    finding: Segment | Region, number: int, run: StageRun, analysed: VolumeAnalysis, headers: Sequence[Dataset]
) -> DescribedFinding:
    if run.algorithm is None:
        raise ValueError(f"stage {run.stage} has a finding but names no algorithm; a finding needs its maker")
    kind = "" if isinstance(finding, Segment) else "box "
    label = f"{plain(finding.label)} {kind}{number}"[-64:]
    outlines = _outlines(finding, analysed.volume)
    if not outlines:
        raise ValueError(f"{label} of stage {run.stage} holds no voxel; leave an empty segment out of the stage run")
    fallback = codes.LESION if isinstance(finding, Segment) else codes.ABNORMAL
    return DescribedFinding(
        source=finding,
        algorithm=named(run.algorithm),
        concept=codes.finding(finding.label) or codes.finding(run.stage) or fallback,
        site=codes.site(finding.label) or codes.site(run.stage) or _classified_site(analysed),
        tracking_id=f"{label}, {run.stage}, {_place(analysed.volume, headers[0])}",
        tracking_uid=_tracking_uid(analysed.volume, run, run.algorithm, label),
        label=label,
        score=finding.mean_score if isinstance(finding, Segment) else finding.score,
        outlines=outlines,
        main=_main(outlines, finding),
        measurements=finding.measurements if isinstance(finding, Segment) else (),
        slice_count=_slice_count(finding, outlines),
        seen_on=_seen_on(finding, analysed.volume, headers),
    )


def _slice_count(finding: Segment | Region, outlines: Sequence[Outline]) -> int:
    if isinstance(finding, Segment):
        return len({outline.slice_index for outline in outlines})
    first, last = finding.slice_extent
    return last - first + 1


def _seen_on(finding: Segment | Region, volume: Volume, headers: Sequence[Dataset]) -> str:
    """By Instance Number or frame number, which is what a viewer shows; a stack's own order is another."""
    if volume.shape[0] == 1:
        return ""
    first, last = (image_number(volume, headers, index) for index in finding.slice_extent)
    kind, _, start = first.partition(" ")
    return first if first == last else f"{kind}s {start} to {last.partition(' ')[2]}"


def image_number(volume: Volume, headers: Sequence[Dataset], index: int) -> str:
    """A slice as a viewer numbers it: its frame, its Instance Number, else its place in the stack, from 1."""
    frame, header = volume.frames[index].frame_number, headers[index]
    if frame is not None:
        return f"frame {frame}"
    stated = numbers_of(header, "InstanceNumber")
    return f"image {int(stated[0])}" if stated else f"slice {index + 1}"


def plain(label: str) -> str:
    """A model's label as text that every attribute may hold."""
    return label.replace("_", " ").replace("\\", "/")


def _classified_site(analysed: VolumeAnalysis) -> Code | None:
    region = classified_region(analysed.runs)
    return None if region is None else region.concept


def _outlines(finding: Segment | Region, volume: Volume) -> tuple[Outline, ...]:
    if isinstance(finding, Segment):
        return trace(finding.mask)
    _, rows, columns = volume.shape
    return (box(finding, rows, columns),)


def _main(outlines: Sequence[Outline], finding: Segment | Region) -> Outline:
    """The largest contour on the slice where the axes were measured, else on the slice of the largest area."""
    measured = [
        each.slice_index
        for each in (finding.measurements if isinstance(finding, Segment) else ())
        if each.quantity is Quantity.LONG_AXIS_MM and each.slice_index is not None
    ]
    areas: dict[int, float] = {}
    for outline in outlines:
        areas[outline.slice_index] = areas.get(outline.slice_index, 0.0) + outline.area
    chosen = next((index for index in measured if index in areas), max(areas, key=lambda index: areas[index]))
    return next(outline for outline in outlines if outline.slice_index == chosen)


def _place(volume: Volume, header: Dataset) -> str:
    """Which stack of the study, as a reader knows it."""
    number = header.get("SeriesNumber")
    series = "series without number" if number is None else f"series {number}"
    return series if volume.stack_number == 1 else f"{series} stack {volume.stack_number}"


def _tracking_uid(volume: Volume, run: StageRun, algorithm: Algorithm, label: str) -> str:
    """The same lesion of the same images by the same model keeps its UID when the study is analysed again."""
    frames = (f"{frame.sop_instance_uid}/{frame.frame_number}" for frame in volume.frames)
    return derived_uid("tracking", device_uid(algorithm), run.stage, label, *frames)
