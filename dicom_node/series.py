"""One series to Volumes: its instances stacked by their headers, then decoded, several at a time, each to its place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from dicom_node.assembling import Assembly
from dicom_node.decoding import Encoded, decode, is_bytes, refuse_unreadable
from dicom_node.discretion import names_patient
from dicom_node.domain.errors import ReadError
from dicom_node.frames import FrameHeader, frame_headers, is_slice_without_place, stack_frames
from dicom_node.headers import Header
from dicom_node.scratch import Scratch
from dicom_node.stacks import Stack, StackFrame, split_into_stacks
from dicom_node.unreadable import explained, reasoned, silent
from inference.findings import Exclusion
from inference.volume import FrameReference, Stated, Volume

#: What frames in the hands of decoders may take together, in bytes.
_IN_FLIGHT = 512 << 20
#: What decoding takes for each value of a frame at most, in bytes: as stored, decoded, and as float32 twice.
_BYTES_PER_VALUE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One parsed file."""

    encoded: Encoded
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str

    @property
    def header(self) -> Header:
        """Without pixels."""
        return self.encoded.header

    def excluded(self, reason: str, *, is_loss: bool = False) -> Exclusion:
        """Why it is in no volume."""
        uid = self.sop_instance_uid or self.encoded.path.stem
        return Exclusion(uid, self.sop_class_uid, self.series_instance_uid, reason, is_loss)


@dataclass(frozen=True, slots=True, eq=False)
class _Instance:
    """One instance whose header makes sense, its frames in order."""

    source: Source
    headers: tuple[FrameHeader, ...]
    frames: tuple[StackFrame, ...]

    @property
    def lacks_place(self) -> bool:
        return is_slice_without_place(self.source.header, self.frames[0])


#: Where each frame goes.
_Places = Mapping[FrameReference, tuple[Assembly, int]]


def volumes_of_series(
    sources: Sequence[Source], scratch: Scratch, threads: int
) -> tuple[list[Volume], list[Exclusion]]:
    """The stacks of one series, and why instances of it are in none.

    How the others stack may depend on one that breaks while it is decoded: then they are stacked again without it.
    """
    with silent():
        instances, exclusions = _instances(sources)
    while True:
        placed, without_place = _placed(instances)
        stacks = split_into_stacks([frame for instance in placed for frame in instance.frames]) if placed else ()
        volumes, broken = _volumes(placed, stacks, scratch, threads)
        if not broken:
            return volumes, exclusions + without_place
        exclusions += broken.values()
        instances = [instance for instance in instances if instance.source.sop_instance_uid not in broken]


def _instances(sources: Sequence[Source]) -> tuple[list[_Instance], list[Exclusion]]:
    instances, exclusions = [], []
    for source in sources:
        try:
            with reasoned("has attributes that cannot be made sense of"):
                refuse_unreadable(source.header)
                headers = frame_headers(source.header)
                instances.append(_Instance(source, headers, stack_frames(source.header, headers)))
        except ReadError as error:
            exclusions.append(source.excluded(str(error), is_loss=True))
    return instances, exclusions


def _placed(instances: Sequence[_Instance]) -> tuple[list[_Instance], list[Exclusion]]:
    """Those that can be stacked: where some slices say where they lie, those that do not are left out."""
    placed = [instance for instance in instances if not instance.lacks_place]
    if not placed:
        return list(instances), []
    return placed, [
        instance.source.excluded(
            "does not say where it lies (Image Position and Orientation (Patient)), as other images of its series do"
        )
        for instance in instances
        if instance.lacks_place
    ]


def _volumes(
    instances: Sequence[_Instance], stacks: Sequence[Stack], scratch: Scratch, threads: int
) -> tuple[list[Volume], dict[str, Exclusion]]:
    """Every stack as a volume, and the instances that cannot be decoded by their UIDs; then the volumes have gaps."""
    sources = {instance.source.sop_instance_uid: instance.source for instance in instances}
    assemblies: list[Assembly] = []
    places: dict[FrameReference, tuple[Assembly, int]] = {}
    for stack in stacks:
        uids = list(dict.fromkeys(frame.reference.sop_instance_uid for frame in stack.frames))
        try:
            assembly = _room(stack, scratch, bytes_do=all(is_bytes(sources[uid].header) for uid in uids))
        except ReadError as error:
            return [], {uid: sources[uid].excluded(str(error), is_loss=True) for uid in uids}
        assemblies.append(assembly)
        places |= {frame.reference: (assembly, place) for place, frame in enumerate(stack.frames)}
    broken = _decode_all(instances, places, threads)
    volumes = [
        _volume(sources[stack.frames[0].reference.sop_instance_uid], number, stack, assembly)
        for number, (stack, assembly) in enumerate(zip(stacks, assemblies, strict=True), start=1)
        if not broken
    ]
    return volumes, broken


def _room(stack: Stack, scratch: Scratch, *, bytes_do: bool) -> Assembly:
    grid = stack.frames[0].grid
    colours = (3,) if grid.kind == "colour" else ()
    with explained("is part of a stack too large for this machine's memory"):
        pixels = scratch.room((len(stack.frames), grid.rows, grid.columns, *colours), bytes_do=bytes_do)
    return Assembly(pixels, is_inverse=grid.kind == "inverse grey")


def _decode_all(instances: Sequence[_Instance], places: _Places, threads: int) -> dict[str, Exclusion]:
    """Every frame to its place; as many instances at a time as there are threads, and as fit into memory."""
    grids = {instance.frames[0].grid for instance in instances}
    largest = max((math.prod((grid.rows, grid.columns, 3)) * _BYTES_PER_VALUE for grid in grids), default=1)
    at_once = max(1, min(threads, len(instances), _IN_FLIGHT // largest))
    decode_one = partial(_why_broken, places=places)
    with silent():
        if at_once == 1:
            reasons = list(map(decode_one, instances))
        else:
            with ThreadPoolExecutor(at_once, thread_name_prefix="decode") as pool:
                reasons = list(pool.map(decode_one, instances))
    return {
        instance.source.sop_instance_uid: instance.source.excluded(reason, is_loss=True)
        for instance, reason in zip(instances, reasons, strict=True)
        if reason
    }


def _why_broken(instance: _Instance, places: _Places) -> str:
    """Decode one instance, frame by frame; why that failed, or nothing."""
    problem = "has pixel data that cannot be decoded as its header says"
    destinations = [places[frame.reference] for frame in instance.frames]
    rooms = [assembly.room(place) for assembly, place in destinations]
    pictures = decode(instance.source.encoded, instance.headers, rooms)
    try:
        for assembly, place in destinations:
            with reasoned(problem):
                picture = next(pictures)
            assembly.put(place, picture)
        with reasoned(problem):  # to the end, where more frames than stated show
            next(pictures, None)
    except ReadError as error:
        return str(error)
    return ""


def _told(header: Header, keyword: str) -> str:
    """What a header says of an image, as it may stand in a reason; where it names the patient it says nothing."""
    text = str(header.get(keyword) or "").strip()
    return "" if names_patient(text, header) else text


def _volume(source: Source, number: int, stack: Stack, assembly: Assembly) -> Volume:
    pixels, window = assembly.finished()
    return Volume(
        study_instance_uid=source.study_instance_uid,
        series_instance_uid=source.series_instance_uid,
        pixels=pixels,
        frames=tuple(frame.reference for frame in stack.frames),
        affine=stack.affine,
        pixel_spacing_mm=stack.frames[0].grid.pixel_spacing_mm,
        slice_spacing_mm=stack.slice_spacing_mm,
        even_spacing=stack.even_spacing,
        window=window,
        stated=Stated(_told(source.header, "Modality"), _told(source.header, "BodyPartExamined").upper()),
        stack_number=number,
        stack_label=stack.label,
    )
