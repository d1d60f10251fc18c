"""`dicom-node validate`: every DICOM file of a folder before other people's validators and the project's own checks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, config, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from dicom_node.domain.errors import ReadError
from dicom_node.files import files_under
from dicom_node.unreadable import explained
from dicom_node.validator_messages import Message, Weight, messages_of
from dicom_node.validators import TOOLS, Tool, run
from sr_writer.checks import Problem, Sources, check_object, check_together, is_result_kind

OWN_CHECKS = "dicom-node"


@dataclass(frozen=True, slots=True)
class ValidatedFile:
    """One file and all that was said about it."""

    path: Path
    #: Name of its SOP class; empty where it could not be read.
    kind: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """Everything that was looked at."""

    files: tuple[ValidatedFile, ...]
    #: What is wrong between the objects.
    together: tuple[Message, ...]
    #: Files that are no DICOM.
    passed_over: tuple[Path, ...]
    installed: tuple[Tool, ...]
    missing: tuple[Tool, ...]

    @property
    def errors(self) -> int:
        """How many messages are real errors."""
        messages = (*self.together, *(message for file in self.files for message in file.messages))
        return sum(message.weight is Weight.ERROR for message in messages)


class Validator:
    """Looks at files one by one, then at all of them together."""

    def __init__(self, sources: Sources) -> None:
        """`sources` maps SOP Instance UID to the headers of images that results refer to."""
        self.installed = tuple(tool for tool in TOOLS if tool.is_installed)
        self.missing = tuple(tool for tool in TOOLS if not tool.is_installed)
        self._sources = sources
        self._files: list[ValidatedFile] = []
        self._results: list[Dataset] = []
        self._passed_over: list[Path] = []

    def look_at(self, path: Path) -> None:
        """One file, by the checks of ours and every tool that knows its kind."""
        try:
            dataset = _read(path)
            problems = _own(dataset, self._sources)
        except InvalidDicomError:
            self._passed_over.append(path)
            return
        except ReadError as error:
            told = Message(OWN_CHECKS, Weight.ERROR, "unreadable", str(error))
            self._files.append(ValidatedFile(path, "", (told,)))
            return
        sop_class_uid = UID(str(dataset.get("SOPClassUID") or ""), validation_mode=config.IGNORE)
        told_by_tools = (
            message
            for tool in self.installed
            if tool.judges(sop_class_uid)
            for message in _judged(tool, path, sop_class_uid)
        )
        self._files.append(ValidatedFile(path, _kind(sop_class_uid), (*problems, *told_by_tools)))
        if is_result_kind(dataset):
            self._results.append(dataset)

    def conclude(self) -> Validation:
        """All that was said, and what is wrong between the files."""
        with explained("the objects cannot be held against each other"):
            together = tuple(_message(problem) for problem in check_together(self._results))
        return Validation(tuple(self._files), together, tuple(self._passed_over), self.installed, self.missing)


def image_headers(folder: Path) -> Mapping[str, Dataset]:
    """SOP Instance UID -> header of every image below a folder; what cannot be read is left out."""
    headers: dict[str, Dataset] = {}
    for path in files_under(folder):
        with suppress(ReadError), explained("cannot be parsed as a DICOM file"):
            header = dcmread(path, stop_before_pixels=True)
            if "Rows" in header:
                headers[str(header.SOPInstanceUID)] = header
    return headers


def _read(path: Path) -> Dataset:
    """Raises InvalidDicomError for what is no DICOM file, and ReadError for one that is broken."""
    with path.open("rb") as stream:
        if stream.read(132)[128:] != b"DICM":
            raise InvalidDicomError(f"{path} has no DICM prefix (PS3.10 section 7.1)")
    with explained("cannot be parsed as a DICOM file"):
        return dcmread(path)


def _own(dataset: Dataset, sources: Sources) -> tuple[Message, ...]:
    with explained("has a value that cannot be read"):
        return tuple(_message(problem) for problem in check_object(dataset, sources))


def _kind(sop_class_uid: UID) -> str:
    """A name that the standard has; pydicom gives back the value where it has none."""
    return "unknown" if sop_class_uid.name == sop_class_uid else sop_class_uid.name


def _message(problem: Problem) -> Message:
    return Message(OWN_CHECKS, Weight.ERROR, problem.check, problem.sentence)


def _judged(tool: Tool, path: Path, sop_class_uid: str) -> tuple[Message, ...]:
    told = run(tool, path)
    return messages_of(tool.name, told.lines, told.exit_code, sop_class_uid)
