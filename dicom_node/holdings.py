"""How many instances of a study a peer holds: asked by C-FIND, Study Root (PS3.4 C.6.2), as far down as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydicom.dataset import Dataset

#: A query identifier -> the identifiers that match it. Raises DeliveryError.
Find = Callable[[Dataset], Sequence[Dataset]]


def instances_held(study_instance_uid: str, find: Find, is_own: Callable[[str], bool] | None = None) -> int:
    """How many instances of a study there are at a peer; 0 when it does not know the study.

    The numbers at the levels STUDY and SERIES are optional keys (PS3.4 C.3.4), which a peer may leave empty. Then its
    instances are counted at the level IMAGE, series by series, since each level wants the unique keys above it
    (PS3.4 C.4.1.2.1). So they are when there may be some that do not count: `is_own` tells these by their SOP Instance
    UID. What `find` raises is passed on.
    """
    study = {"StudyInstanceUID": study_instance_uid}
    studies = _matches(find, "STUDY", study, NumberOfStudyRelatedInstances=None)
    if not studies:
        return 0
    told = _number(studies[0], "NumberOfStudyRelatedInstances")
    if told and is_own is None:
        return told
    series = _matches(find, "SERIES", study, SeriesInstanceUID="", NumberOfSeriesRelatedInstances=None)
    numbers = [_number(each, "NumberOfSeriesRelatedInstances") for each in series]
    if numbers and all(numbers) and is_own is None:
        return sum(numbers)
    names = {str(each.get("SeriesInstanceUID", "")) for each in series} - {""}
    uids = {uid for name in sorted(names) for uid in _images(find, study | {"SeriesInstanceUID": name})}
    return sum(1 for uid in uids if is_own is None or not is_own(uid))


def _images(find: Find, series: dict[str, str]) -> set[str]:
    images = _matches(find, "IMAGE", series, SOPInstanceUID="")
    return {str(each.get("SOPInstanceUID", "")) for each in images} - {""}


def _matches(find: Find, level: str, entity: dict[str, str], **asked: str | None) -> list[Dataset]:
    """Matches that belong to `entity`; there are peers that answer with more than they were asked for."""
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in (entity | asked).items():
        setattr(query, keyword, value)
    return [
        match for match in find(query) if all(str(match.get(keyword, uid)) == uid for keyword, uid in entity.items())
    ]


def _number(match: Dataset, keyword: str) -> int:
    """The number, 0 for none or nonsense."""
    try:
        return max(0, int(match.get(keyword) or 0))
    except (TypeError, ValueError):
        return 0
