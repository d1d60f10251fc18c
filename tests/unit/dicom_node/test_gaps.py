"""What is missing of a study, which studies are priors, and how peers are asked and understood: values alone."""

import datetime

import pytest
from pydicom.dataset import Dataset

from dicom_node.domain.retrieval import Dates, RemoteSeries, RemoteStudy, StudyKeys
from dicom_node.gaps import PriorLimits, gap_of, of_modalities, priors_of, shows_body_part
from dicom_node.identifiers import instance_query, retrieval, series_of, series_query, study_of, study_query
from sr_writer.provenance import derived_uid

STUDY = "1.2"
MR, SR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.88.34"
OWN = derived_uid("a report")


def series(number, count, modality="MR", sop_class=MR):
    """A series of so many instances."""
    uid = f"{STUDY}.{number}"
    return RemoteSeries(uid, modality, instances={f"{uid}.{each}": sop_class for each in range(1, count + 1)})


def test_nothing_here_is_one_request():
    """The study as a whole, with the SOP classes that come."""
    gap = gap_of(STUDY, [series(1, 2), series(2, 1)], held=())
    assert (len(gap.wanted), len(gap.missing), gap.whole) == (3, 3, True)
    assert gap.sop_classes == {MR}


def test_only_series_with_something_missing_are_asked_for():
    """What is here of the others does not come again."""
    gap = gap_of(STUDY, [series(1, 2), series(2, 2), series(3, 1)], held={"1.2.1.1", "1.2.1.2", "1.2.2.1"})
    assert (gap.series, gap.missing, gap.whole) == (("1.2.2", "1.2.3"), {"1.2.2.2", "1.2.3.1"}, False)


def test_nothing_missing_asks_for_nothing():
    """However much more is here than there."""
    gap = gap_of(STUDY, [series(1, 1)], held={"1.2.1.1", "1.2.9.9"})
    assert (gap.missing, gap.series, gap.whole) == (frozenset(), (), False)


def test_own_results_at_the_peer_are_not_wanted():
    """They are no gap; and the study is not asked for as a whole, with which they would come."""
    results = RemoteSeries("1.2.8", "SR", instances={OWN: SR})
    assert gap_of(STUDY, [series(1, 1), results], held={"1.2.1.1"}).missing == frozenset()
    gap = gap_of(STUDY, [series(1, 1), results], held=())
    assert (gap.series, gap.whole, gap.sop_classes) == (("1.2.1",), False, {MR})


def test_series_of_other_modalities_are_left_alone():
    """Then the study is not wanted as a whole either."""
    gap = gap_of(STUDY, [series(1, 1), series(2, 1, "SR", SR)], held=(), modalities=("MR",))
    assert (gap.wanted, gap.series, gap.whole) == ({"1.2.1.1"}, ("1.2.1",), False)


def test_sop_classes_count_only_when_all_are_told():
    """One that is not told would have no presentation context."""
    assert gap_of(STUDY, [series(1, 1), series(2, 1, sop_class="")], held=()).sop_classes == frozenset()


def study(uid, date, time="", patient="A", issuer="X", modalities=("MR",)):
    """A study as a peer tells it."""
    return RemoteStudy(uid, date, time, modalities, patient, issuer)


CURRENT = study("1.1", "20261120", "120000")


@pytest.mark.parametrize(
    ("other", "is_prior"),
    [
        (study("1.2", "20251120"), True),
        (study("1.2", "20261120", "115959"), True),
        (study("1.2", "20261120", "120001"), False),
        (study("1.2", "20261121"), False),
        (study("1.1", "20251120"), False),
        (study("1.2", "20251120", patient="AB"), False),
        (study("1.2", "20251120", issuer="Y"), False),
        (study("1.2", "20251120", issuer=""), False),
        (study("1.2", ""), False),
        (study("1.2", "20211119"), False),
        (study("1.2", "20211120"), True),
    ],
)
def test_priors_are_earlier_studies_of_the_same_patient(other, is_prior):
    """By ID and issuer, both whole; within the years."""
    assert priors_of(CURRENT, [other], PriorLimits(9, years=5)) == ((other,) if is_prior else ())


def test_the_latest_priors_come_first_and_no_more_than_asked_for():
    """Whatever order the peer tells them in."""
    others = [study(f"1.{year}", f"{year}0101") for year in (2019, 2023, 2021)]
    found = priors_of(CURRENT, others, PriorLimits(2))
    assert [each.study_date for each in found] == ["20230101", "20210101"]


def test_without_an_id_or_a_date_there_are_no_priors():
    """Every study without an ID would be one."""
    assert priors_of(study("1.1", "20261120", patient=""), [study("1.2", "20251120", patient="")], PriorLimits(2)) == ()
    assert priors_of(study("1.1", ""), [study("1.2", "20251120")], PriorLimits(2)) == ()


def test_body_parts_that_are_told_decide():
    """A study that tells none may show any."""
    knee, nothing = RemoteSeries("1.2.1", body_part="KNEE"), RemoteSeries("1.2.2")
    assert shows_body_part([knee, nothing], "knee")
    assert shows_body_part([nothing], "knee")
    assert not shows_body_part([knee, nothing], "HEAD")


def test_modalities_sort_answers_out():
    """Of a peer that matched by something else; one that tells none is believed. Each study once."""
    mr, ct, silent = study("1.2", ""), study("1.3", "", modalities=("CT", "SR")), study("1.4", "", modalities=())
    assert of_modalities([mr, ct, silent, mr], ("CT", "DX")) == (ct, silent)
    assert of_modalities([mr, ct, silent, mr], ()) == (mr, ct, silent)


def test_queries_name_their_level_and_keys():
    """One day is a single value, several are a range."""
    first, last = datetime.date(2026, 11, 20), datetime.date(2026, 11, 22)
    assert study_query(StudyKeys(dates=Dates(first, last))).StudyDate == "20261120-20261122"
    query = study_query(StudyKeys(study_instance_uid="1.2", dates=Dates(first, first), modality="MR"))
    assert (query.QueryRetrieveLevel, query.StudyDate, query.ModalitiesInStudy) == ("STUDY", "20261120", "MR")
    assert (series_query("1.2").StudyInstanceUID, instance_query("1.2", "1.3").SeriesInstanceUID) == ("1.2", "1.3")
    assert (retrieval("1.2").QueryRetrieveLevel, retrieval("1.2", "1.3").QueryRetrieveLevel) == ("STUDY", "SERIES")


def test_answers_may_lack_anything():
    """What is not told is empty; several modalities are several."""
    assert study_of(Dataset()) == RemoteStudy("")
    answer, instance = Dataset(), Dataset()
    answer.StudyInstanceUID, answer.ModalitiesInStudy, answer.StudyDate = "1.2", ["MR", "SR"], "20261120"
    assert study_of(answer) == RemoteStudy("1.2", "20261120", modalities=("MR", "SR"))
    answer.SeriesInstanceUID, answer.BodyPartExamined, instance.SOPInstanceUID = "1.2.3", "KNEE", "1.2.3.4"
    assert series_of(answer, (instance,)) == RemoteSeries("1.2.3", body_part="KNEE", instances={"1.2.3.4": ""})


def test_what_is_no_uid_is_not_told():
    """It would go on into requests, messages and the database."""
    answer, instance = Dataset(), Dataset()
    for dataset, keyword in ((answer, "StudyInstanceUID"), (answer, "SeriesInstanceUID"), (instance, "SOPInstanceUID")):
        dataset.add_new(keyword, "LO", "1.2 or so")
    assert study_of(answer) == RemoteStudy("")
    assert series_of(answer, (instance,)) == RemoteSeries("")


def test_what_tells_the_patient_is_not_shown():
    """A study or keys that end in a log or a traceback name nobody."""
    keys = StudyKeys(patient_id="SECRET", issuer_of_patient_id="SECRET", accession_number="SECRET")
    assert "SECRET" not in f"{keys} {study('1.2', '', patient='SECRET', issuer='SECRET')}"
