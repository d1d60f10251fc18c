"""What the embedded archive holds, and which of it a C-FIND or C-MOVE identifier means (PS3.4 C.2.2, C.4.1, C.6.2).

In memory, from headers; no network, no files opened but those it is given.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

#: Query/Retrieve level of the Study Root model -> the unique key of its entities (PS3.4 C.6.2.1).
UNIQUE_KEYS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
_NOT_KEYS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet"})
_RANGED = frozenset({"DA", "TM", "DT"})
_WITH_WILDCARDS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})


class UnknownLevelError(ValueError):
    """The identifier names no level of the Study Root model."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One stored instance: where it is, and its header."""

    path: Path
    header: Dataset
    transfer_syntax_uid: str


def _related(keyword: str) -> Callable[[Sequence[Entry]], list[str]]:
    """The different values of an attribute over the entity's instances, in order."""
    return lambda entries: sorted({str(entry.header.get(keyword, "")) for entry in entries} - {""})


#: Attributes that describe an entity as a whole, from its instances (PS3.4 C.3.4).
_COMPUTED: dict[str, Callable[[Sequence[Entry]], object]] = {
    "NumberOfStudyRelatedInstances": len,
    "NumberOfStudyRelatedSeries": lambda entries: len(_related("SeriesInstanceUID")(entries)),
    "NumberOfSeriesRelatedInstances": len,
    "ModalitiesInStudy": _related("Modality"),
    "SOPClassesInStudy": _related("SOPClassUID"),
}


class ArchiveIndex:
    """Every stored instance by its UID, in the order of arrival. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}

    def add(self, path: Path) -> Entry:
        """Enter the instance at `path`; one with the same SOP Instance UID is replaced."""
        header = dcmread(path, stop_before_pixels=True)
        entry = Entry(path, header, str(header.file_meta.TransferSyntaxUID))
        with self._lock:
            self._entries[str(header.SOPInstanceUID)] = entry
        return entry

    def of_study(self, study_instance_uid: str) -> tuple[Entry, ...]:
        """Every instance of one study."""
        return tuple(entry for entry in self._all() if entry.header.StudyInstanceUID == study_instance_uid)

    def instances_of(self, identifier: Dataset) -> tuple[Entry, ...]:
        """What a C-MOVE identifier asks for: every instance of the entities it names by unique keys.

        Raises UnknownLevelError.
        """
        _level_of(identifier)
        keys = [identifier[keyword] for keyword in UNIQUE_KEYS.values() if keyword in identifier]
        return tuple(
            entry for entry in self._all() if all(_matches(key, entry.header.get(key.keyword)) for key in keys)
        )

    def matches(self, identifier: Dataset) -> Iterator[Dataset]:
        """The response identifiers of a C-FIND: one for each entity of the level that matches every key.

        Raises UnknownLevelError.
        """
        level = _level_of(identifier)
        keys = [element for element in identifier if element.keyword not in _NOT_KEYS]
        for entries in self._entities(UNIQUE_KEYS[level]):
            values = {key.keyword: _value(key, entries) for key in keys}
            if all(_matches(key, values[key.keyword]) for key in keys):
                yield _response(level, keys, values)

    def _all(self) -> tuple[Entry, ...]:
        with self._lock:
            return tuple(self._entries.values())

    def _entities(self, unique_key: str) -> Iterable[list[Entry]]:
        entities: dict[str, list[Entry]] = {}
        for entry in self._all():
            entities.setdefault(str(entry.header.get(unique_key, "")), []).append(entry)
        return entities.values()


def _level_of(identifier: Dataset) -> str:
    level = str(identifier.get("QueryRetrieveLevel", ""))
    if level not in UNIQUE_KEYS:
        raise UnknownLevelError(f"Query/Retrieve Level {level!r} is none of {', '.join(UNIQUE_KEYS)}")
    return level


def _value(key: DataElement, entries: Sequence[Entry]) -> object:
    if key.keyword in _COMPUTED:
        return _COMPUTED[key.keyword](entries)
    return None if key.VR == "SQ" else entries[0].header.get(key.keyword)


def _response(level: str, keys: Iterable[DataElement], values: dict[str, object]) -> Dataset:
    response = Dataset()
    response.SpecificCharacterSet = "ISO_IR 192"
    response.QueryRetrieveLevel = level
    for key in keys:
        value = values[key.keyword]
        response.add_new(key.tag, key.VR, key.empty_value if value is None else value)
    return response


def _matches(key: DataElement, value: object) -> bool:
    """Whether an entity's value matches a key (PS3.4 C.2.2.2): universal, single value, list of UIDs, wildcard, range.

    A key of several values matches any of them; an entity with several values matches if one does.
    """
    if key.is_empty or key.VR == "SQ":
        return True
    wanted = [str(item) for item in _many(key.value)]
    held = [str(item) for item in _many(value)] if value is not None else []
    return any(_matches_one(key.VR, pattern, item) for pattern in wanted for item in held)


def _many(value: object) -> Sequence[object]:
    return value if isinstance(value, (MultiValue, list)) else [value]


def _matches_one(vr: str, pattern: str, value: str) -> bool:
    if vr == "UI":
        return UID(pattern) == UID(value)
    if vr in _RANGED and "-" in pattern:
        first, _, last = pattern.partition("-")
        return (not first or first <= value) and (not last or value[: len(last)] <= last)
    if vr in _WITH_WILDCARDS:
        expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        # PS3.4 C.2.2.2.1 lets names be matched regardless of case
        flags = re.DOTALL | (re.IGNORECASE if vr == "PN" else re.NOFLAG)
        return re.fullmatch(expression, value, flags) is not None
    return pattern == value
