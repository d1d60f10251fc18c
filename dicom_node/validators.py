"""Validators that others wrote, run as programs of their own: which there are, and what they print over a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import (
    ColorSoftcopyPresentationStateStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
)

#: A Java virtual machine on a busy machine takes half a minute to begin.
LIMIT_S = 120
_REPORTS = frozenset((EnhancedSRStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage))
_PRESENTATION_STATES = frozenset((GrayscaleSoftcopyPresentationStateStorage, ColorSoftcopyPresentationStateStorage))
#: Where Debian's libpixelmed-java and what it needs lie.
_JARS = tuple(Path("/usr/share/java", name) for name in ("pixelmed.jar", "slf4j-api.jar", "slf4j-nop.jar"))
#: Its style sheets are larger than Java 17 lets them be by default.
_NO_XPATH_LIMITS = tuple(f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("ExprOp", "ExprGrp", "TotalOp"))


@dataclass(frozen=True, slots=True)
class Tool:
    """A validator: its program, what it is good for, and its arguments for a file and a folder it may write to."""

    name: str
    program: str
    package: str
    arguments: Callable[[Path, Path], tuple[str, ...]]
    #: SOP Class UIDs; None for all.
    kinds: frozenset[str] | None = None
    needs: tuple[Path, ...] = ()

    @property
    def found(self) -> str | None:
        """Where the program is: beside this Python's own programs, else on PATH."""
        places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        return shutil.which(self.program, path=places)

    @property
    def is_installed(self) -> bool:
        """Whether program and files are there."""
        return self.found is not None and all(path.exists() for path in self.needs)

    def judges(self, sop_class_uid: str) -> bool:
        """Whether it has anything to say about this kind of object."""
        return self.kinds is None or sop_class_uid in self.kinds


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool printed. It quotes values of the file: nothing of it is shown as it is."""

    lines: tuple[str, ...]
    #: None where it did not come to an end in time.
    exit_code: int | None


TOOLS: tuple[Tool, ...] = (
    Tool("dciodvfy", "dciodvfy", "dicom3tools", lambda file, _: ("-new", str(file))),
    Tool("dsrdump", "dsrdump", "dcmtk", lambda file, _: (str(file),), _REPORTS | {KeyObjectSelectionDocumentStorage}),
    Tool("dcmpschk", "dcmpschk", "dcmtk", lambda file, _: ("-v", str(file)), _PRESENTATION_STATES),
    Tool(
        "DicomSRValidator",
        "java",
        "libpixelmed-java",
        lambda file, _: (
            *_NO_XPATH_LIMITS,
            "-cp",
            ":".join(map(str, _JARS)),
            "com.pixelmed.validate.DicomSRValidator",
            str(file),
        ),
        _REPORTS,
        _JARS,
    ),
    Tool(
        "segimage2itkimage",
        "segimage2itkimage",
        "dcmqi",
        lambda file, folder: ("--inputDICOM", str(file), "--outputDirectory", str(folder)),
        frozenset((SegmentationStorage,)),
    ),
    Tool(
        "tid1500reader",
        "tid1500reader",
        "dcmqi",
        lambda file, folder: ("--inputDICOM", str(file), "--outputMetadata", str(folder / "report.json")),
        _REPORTS,
    ),
)


def run(tool: Tool, file: Path) -> Told:
    """Let a tool look at a file. What it writes is thrown away."""
    with tempfile.TemporaryDirectory(prefix="dicom-node-validate-") as folder:
        command = [tool.found or tool.program, *tool.arguments(file.absolute(), Path(folder))]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Told((), None)
    return Told(tuple(done.stdout.splitlines()), done.returncode)
