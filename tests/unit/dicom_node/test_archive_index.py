"""Which entities a query means."""

import pytest
from pydicom.dataset import Dataset

from dicom_node.archive_index import ArchiveIndex, UnknownLevelError
from tests.builders.datasets import mr_series, radiograph
from tests.builders.network import saved


@pytest.fixture
def index(tmp_path):
    """Two studies of two patients: a brain of two series, and a wrist."""
    index = ArchiveIndex()
    brain = {"study": "brain", "PatientName": "Müller^Jörg", "PatientID": "A1", "StudyDate": "20260301"}
    wrist = {"study": "wrist", "PatientName": "Smith^Ann", "PatientID": "B2", "StudyDate": "20260315"}
    stacks = [*mr_series((2, 8, 8), **brain), *mr_series((3, 8, 8), series="second", **brain)]
    for dataset in [*stacks, radiograph(AccessionNumber="77", **wrist)]:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        index.add(saved(dataset, tmp_path))
    return index


def query(level, **keys):
    """A query identifier of one level."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("keys", "patients"),
    [
        ({}, ["A1", "B2"]),
        ({"PatientID": "B2"}, ["B2"]),
        ({"PatientID": "B"}, []),
        ({"PatientID": "?1"}, ["A1"]),
        ({"PatientName": "m*r^j*"}, ["A1"]),
        ({"PatientName": "Sm[i]th*"}, []),
        ({"StudyDate": "20260301-20260310"}, ["A1"]),
        ({"StudyDate": "20260315-"}, ["B2"]),
        ({"StudyDate": "-20260301"}, ["A1"]),
        ({"StudyDate": "20260315"}, ["B2"]),
        ({"AccessionNumber": "77"}, ["B2"]),
        ({"AccessionNumber": "*"}, ["A1", "B2"]),
        ({"ModalitiesInStudy": "DX"}, ["B2"]),
        ({"ModalitiesInStudy": ["DX", "MR"]}, ["A1", "B2"]),
        ({"PatientBirthTime": "12"}, []),
    ],
)
def test_matching_at_study_level(index, keys, patients):
    """PS3.4 C.2.2.2: universal, single value, wildcard, range; a set of values matches when one does."""
    matches = index.matches(query("STUDY", **{"PatientID": "", **keys}))
    assert sorted(match.PatientID for match in matches) == patients


def test_a_study_is_described_from_its_instances(index):
    """Related counts and sets are computed; keys nobody filled come back empty."""
    wanted = query(
        "STUDY",
        PatientID="A1",
        NumberOfStudyRelatedInstances=None,
        NumberOfStudyRelatedSeries=None,
        ModalitiesInStudy="",
        PatientComments="",
    )
    (match,) = index.matches(wanted)
    assert (match.NumberOfStudyRelatedInstances, match.NumberOfStudyRelatedSeries) == (5, 2)
    assert match.ModalitiesInStudy == "MR"
    assert match.PatientComments == ""
    assert match.QueryRetrieveLevel == "STUDY"


def test_series_and_images_of_a_study(index):
    """The levels below list what lies in the entity named above them."""
    (study,) = index.matches(query("STUDY", PatientID="A1", StudyInstanceUID=""))
    below = {"StudyInstanceUID": study.StudyInstanceUID, "SeriesInstanceUID": ""}
    series = list(index.matches(query("SERIES", NumberOfSeriesRelatedInstances=None, **below)))
    assert sorted(match.NumberOfSeriesRelatedInstances for match in series) == [2, 3]
    images = list(index.matches(query("IMAGE", SOPInstanceUID="", **below)))
    assert len({image.SOPInstanceUID for image in images}) == 5


def test_a_list_of_uids_names_several(index):
    """List of UID matching (PS3.4 C.2.2.2.2), in queries and in moves."""
    images = [match.SOPInstanceUID for match in index.matches(query("IMAGE", SOPInstanceUID=""))][:2]
    wanted = query("IMAGE", SOPInstanceUID=images)
    assert [match.SOPInstanceUID for match in index.matches(wanted)] == images
    assert [entry.header.SOPInstanceUID for entry in index.instances_of(wanted)] == images


@pytest.mark.parametrize("level", ["", "PATIENT", "FRAME"])
def test_a_level_of_another_model_is_refused(index, level):
    """The Study Root model has STUDY, SERIES and IMAGE (PS3.4 C.6.2.1)."""
    with pytest.raises(UnknownLevelError):
        list(index.matches(query(level)))
    with pytest.raises(UnknownLevelError):
        index.instances_of(query(level))
