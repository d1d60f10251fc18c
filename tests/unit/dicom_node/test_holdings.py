"""How many instances a peer holds, by what it is willing to tell."""

import pytest
from pydicom.dataset import Dataset

from dicom_node.holdings import instances_held

STUDY = "1.2.3"


def match(**values):
    """A response identifier."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


class Pacs:
    """Holds two series of three and two instances; tells their numbers as it is told to."""

    def __init__(self, study_number=None, series_numbers=(None, None)):
        self.series = {"1.2.3.1": ["1", "2", "3"], "1.2.3.2": ["4", "5"]}
        self.study_number, self.series_numbers = study_number, series_numbers
        self.levels = []

    def find(self, query):
        """Everything it has at the level, whatever was asked for."""
        self.levels.append(query.QueryRetrieveLevel)
        return getattr(self, f"_{query.QueryRetrieveLevel.lower()}")(query)

    def _study(self, query):
        assert (query.StudyInstanceUID, "NumberOfStudyRelatedInstances" in query) == (STUDY, True)
        stranger = match(StudyInstanceUID="9.9", NumberOfStudyRelatedInstances=99)
        return [stranger, match(StudyInstanceUID=STUDY, NumberOfStudyRelatedInstances=self.study_number)]

    def _series(self, query):
        assert query.StudyInstanceUID == STUDY
        return [
            match(SeriesInstanceUID=uid, NumberOfSeriesRelatedInstances=number)
            for uid, number in zip(self.series, self.series_numbers, strict=True)
        ]

    def _image(self, query):
        assert query.StudyInstanceUID == STUDY
        images = self.series[query.SeriesInstanceUID]
        return [match(SOPInstanceUID=uid) for uid in (*images, images[0])]


@pytest.mark.parametrize(
    ("pacs", "count", "levels"),
    [
        (Pacs(study_number=14), 14, ["STUDY"]),
        (Pacs(series_numbers=(3, 2)), 5, ["STUDY", "SERIES"]),
        (Pacs(study_number=0, series_numbers=(3, 2)), 5, ["STUDY", "SERIES"]),
        (Pacs(series_numbers=(3, None)), 5, ["STUDY", "SERIES", "IMAGE", "IMAGE"]),
        (Pacs(), 5, ["STUDY", "SERIES", "IMAGE", "IMAGE"]),
    ],
)
def test_instances_are_counted_at_the_highest_level_that_tells(pacs, count, levels):
    """An image that is told twice counts once."""
    assert instances_held(STUDY, pacs.find) == count
    assert pacs.levels == levels


@pytest.mark.parametrize("numbers", [{}, {"study_number": 5, "series_numbers": (3, 2)}])
def test_own_objects_are_left_out_one_by_one(numbers):
    """Whatever numbers the peer tells, they count them, too."""
    pacs = Pacs(**numbers)
    assert instances_held(STUDY, pacs.find, {"2", "5", "77"}.__contains__) == 3
    assert pacs.levels == ["STUDY", "SERIES", "IMAGE", "IMAGE"]


def test_a_study_that_is_not_there_is_none():
    """Nothing further is asked."""
    levels = []
    assert instances_held("1.2.4", lambda query: levels.append(query.QueryRetrieveLevel) or []) == 0
    assert levels == ["STUDY"]


@pytest.mark.filterwarnings("ignore:.*IS.*:UserWarning")
def test_a_number_that_is_none_is_as_if_there_were_none():
    """A peer may write what it likes."""
    pacs = Pacs(series_numbers=(3, 2))
    pacs.study_number = None
    nonsense = match(StudyInstanceUID=STUDY)
    nonsense.add_new("NumberOfStudyRelatedInstances", "LO", "many")

    def find(query):
        return [nonsense] if query.QueryRetrieveLevel == "STUDY" else pacs.find(query)

    assert instances_held(STUDY, find) == 5
