"""Measurement groups of the report: what was found, where, how large, by which algorithm (TID 1410, TID 1411).

Every group has coordinates or shares its tracking UID with one that has: OHIF shows nothing of a report in which one
group has none. Outlines are drawn with more than five points and ordinary identifiers, so that viewers show them read
only, with our numbers.

A lesion with a segment makes two groups with one tracking UID. The first (TID 1411) refers to the segment, which holds
every voxel, and carries the volume; the second (TID 1410) holds the largest contour on the slice where the axes were
measured, and carries them. Further contours stay out of the report: viewers draw only the first contour of a tracking
UID, and a UID for each would make one lesion many. The segment and the presentation state have them all. Without a
segment (no geometry, no Segmentation object) one group (TID 1411) holds all contours, that main one first. Where a
segment holds all lesions of a label, each lesion has one group (TID 1410), and the segment two as a lesion would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.coding import Code

from inference.findings import Algorithm, Quantity, Segment
from sr_writer import codes
from sr_writer.described import DescribedFinding, DescribedVolume
from sr_writer.inheritance import side_of
from sr_writer.outlines import Outline

_QUANTITIES: Mapping[Quantity, tuple[Code, Code]] = {
    Quantity.VOLUME_ML: (codes.VOLUME, codes.MILLILITRE),
    Quantity.LONG_AXIS_MM: (codes.LONG_AXIS, codes.MILLIMETRE),
    Quantity.SHORT_AXIS_MM: (codes.SHORT_AXIS, codes.MILLIMETRE),
}


def measurement_groups(described: DescribedVolume, segmentation: Dataset | None) -> Iterator[sr.ContentSequence]:
    """The groups of one volume in the order of its findings, since viewers open a report at its first group;
    `segmentation` is its SEG, None when it has none."""
    numbers = {finding.tracking_uid: number for number, finding in enumerate(described.segments, start=1)}
    for finding in described.findings:
        if not isinstance(finding.source, Segment):
            yield _outlined(described, finding, codes.BOUNDED_BY, _numbers(finding))
        elif segmentation is None:
            yield _contoured(described, finding)
        elif finding.tracking_uid in numbers:
            yield from _in_segment(described, finding, numbers.pop(finding.tracking_uid), segmentation)
        else:
            yield _outlined(described, finding, codes.OUTLINE, _numbers(finding))
    if segmentation is not None:
        for finding in described.segments:
            if finding.tracking_uid in numbers:
                yield from _in_segment(described, finding, numbers[finding.tracking_uid], segmentation)


def _in_segment(
    described: DescribedVolume, finding: DescribedFinding, number: int, segmentation: Dataset
) -> Iterator[sr.ContentSequence]:
    """Both groups of what is Segment Number `number`."""
    yield _segmented(described, finding, number, segmentation)
    yield _outlined(described, finding, codes.OUTLINE, _numbers(finding, without=Quantity.VOLUME_ML))


def algorithm_identification(algorithm: Algorithm) -> sr.AlgorithmIdentification:
    """TID 4019."""
    return sr.AlgorithmIdentification(
        name=algorithm.name,
        version=algorithm.version,
        manufacturer=algorithm.manufacturer,
        parameters=[f"{name}={value}" for name, value in algorithm.parameters] or None,
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )


def _segmented(
    described: DescribedVolume, finding: DescribedFinding, number: int, segmentation: Dataset
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """TID 1411 on Segment Number `number`. The reference is built here, because highdicom 0.28 cannot derive it from
    a BINARY Segmentation of one segment."""
    slices = sorted({outline.slice_index for outline in finding.outlines})
    frames = [described.volume.frames[index] for index in slices]
    images = {
        frame.sop_instance_uid: sr.SourceImageForSegmentation(frame.sop_class_uid, frame.sop_instance_uid)
        for frame in frames
    }
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(finding.tracking_uid, finding.tracking_id),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_images=list(images.values()),
        ),
        finding_type=finding.concept,
        finding_sites=_sites(described, finding),
        algorithm_id=algorithm_identification(finding.algorithm),
        measurements=list(_numbers(finding, only=Quantity.VOLUME_ML)),
    )


def _outlined(
    described: DescribedVolume, finding: DescribedFinding, purpose: Code, numbers: Iterable[sr.Measurement]
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410 on the main contour, with the score."""
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(finding.tracking_uid, finding.tracking_id),
        referenced_region=_image_region(described, finding.main),
        finding_type=finding.concept,
        finding_sites=_sites(described, finding),
        algorithm_id=algorithm_identification(finding.algorithm),
        geometric_purpose=purpose,
        measurements=[*numbers, *_slices(described, finding), _score(finding)],
    )


def _contoured(
    described: DescribedVolume, finding: DescribedFinding
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """TID 1411 on all contours, the main one first."""
    others = (outline for outline in finding.outlines if outline is not finding.main)
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(finding.tracking_uid, finding.tracking_id),
        referenced_regions=[_image_region(described, outline) for outline in (finding.main, *others)],
        finding_type=finding.concept,
        finding_sites=_sites(described, finding),
        algorithm_id=algorithm_identification(finding.algorithm),
        geometric_purpose=codes.OUTLINE,
        measurements=[*_numbers(finding), *_slices(described, finding), _score(finding)],
    )


def _image_region(described: DescribedVolume, outline: Outline) -> sr.ImageRegion:
    """One contour as SCOORD POLYLINE on its source frame (C.18.6)."""
    frame = described.frame(outline)
    return sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=outline.points,
        source_image=sr.SourceImageForRegion(
            frame.sop_class_uid,
            frame.sop_instance_uid,
            None if frame.frame_number is None else [frame.frame_number],
        ),
    )


def _sites(described: DescribedVolume, finding: DescribedFinding) -> list[sr.FindingSite] | None:
    """The part of the body, with the side that the image states."""
    if finding.site is None:
        return None
    side = side_of(described.headers[finding.main.slice_index])
    return [sr.FindingSite(finding.site, laterality=codes.SIDES.get(side))]


def _numbers(
    finding: DescribedFinding, *, only: Quantity | None = None, without: Quantity | None = None
) -> Iterator[sr.Measurement]:
    for measurement in finding.measurements:
        if measurement.quantity is without or (only is not None and measurement.quantity is not only):
            continue
        name, unit = _QUANTITIES[measurement.quantity]
        yield sr.Measurement(name=name, value=round(measurement.value, 3), unit=unit)


def _slices(described: DescribedVolume, finding: DescribedFinding) -> Iterator[sr.Measurement]:
    """How far it reaches through a stack."""
    if described.volume.shape[0] > 1:
        yield sr.Measurement(name=codes.SLICES, value=finding.slice_count, unit=codes.SLICE_COUNT)


def _score(finding: DescribedFinding) -> sr.Measurement:
    method = codes.MEAN_OVER_VOXELS if isinstance(finding.source, Segment) else codes.BEST_BOX
    return sr.Measurement(name=codes.SCORE, value=round(finding.score, 4), unit=codes.NO_UNITS, method=method)
