"""UIDs, equipment and times: the same inputs make the same ones, other inputs make others."""

import dataclasses
import datetime

import pytest
from pydicom.uid import UID

from inference.findings import Analysis
from sr_writer.provenance import derived_uid, device_uid, is_own_uid, long_string, provenance_of
from tests.builders.analyses import (
    EQUIPMENT,
    UNET,
    WHEN,
    analysis_of,
    encode,
    excluded,
    failed,
    headers_of,
    lesion,
    refused,
    segmented,
)
from tests.builders.datasets import encoded, mr_series

SHAPE = (4, 32, 24)
IMAGES = mr_series(SHAPE)
SOURCES = headers_of(*IMAGES)
MASK = lesion(SHAPE, start=(1, 8, 6), size=(2, 6, 7))


def uids(analysis, equipment=EQUIPMENT, when=WHEN):
    """SOP Instance UIDs of the results."""
    return [result.SOPInstanceUID for result in encode(analysis, SOURCES, equipment, when)]


def test_derived_uids_are_valid_uuid_uids():
    """A derived UID is a valid UID below 2.25. whose number is a version 8 UUID (RFC 9562)."""
    uid = derived_uid("one", "two")
    number = int(uid.removeprefix("2.25."))
    assert UID(uid).is_valid
    assert (number >> 76) & 0xF == 8
    assert (number >> 62) & 0x3 == 2


def test_derived_uids_differ_where_only_the_split_differs():
    """The boundary between sources counts."""
    assert derived_uid("ab", "c") != derived_uid("a", "bc")


@pytest.mark.parametrize(
    ("uid", "own"),
    [
        (derived_uid("x"), True),
        ("2.25.329800735698586629295641978511506172918", False),
        ("1.2.840.10008.1.1", False),
        ("2.25.", False),
        ("", False),
    ],
)
def test_own_uids_are_recognised(uid, own):
    """The node knows its own results by their UID, and takes no other for them."""
    assert is_own_uid(uid) is own


def test_every_uid_of_the_results_is_our_own():
    """SOP and series UIDs of all results are recognised."""
    for result in encode(analysis_of(IMAGES, segmented(MASK)), SOURCES, EQUIPMENT, WHEN):
        assert is_own_uid(result.SOPInstanceUID)
        assert is_own_uid(result.SeriesInstanceUID)


def test_same_inputs_make_the_same_bytes():
    """Two runs over equal inputs give equal files."""
    first, second = (
        [encoded(each) for each in encode(analysis_of(IMAGES, segmented(MASK)), SOURCES, EQUIPMENT, WHEN)]
        for _ in range(2)
    )
    assert first == second


OTHER_DIGEST = dataclasses.replace(UNET, digest="b" * 64)
OTHER_THRESHOLD = dataclasses.replace(UNET, parameters=(("threshold", "0.6"),))


@pytest.mark.parametrize(
    "other",
    [
        analysis_of(IMAGES, segmented(MASK, algorithm=OTHER_DIGEST)),
        analysis_of(IMAGES, segmented(MASK, algorithm=OTHER_THRESHOLD)),
        analysis_of(IMAGES, segmented(MASK, MASK)),
        analysis_of(IMAGES[1:], segmented(MASK[1:])),
        analysis_of(IMAGES, failed()),
        analysis_of(IMAGES, segmented(MASK), exclusions=[excluded(IMAGES[0])]),
    ],
    ids=["digest", "parameters", "lesions", "images", "outcome", "exclusions"],
)
def test_another_analysis_has_other_uids(other):
    """What makes another result makes other UIDs."""
    assert not set(uids(analysis_of(IMAGES, segmented(MASK)))) & set(uids(other))


def test_a_corrected_patient_has_other_uids():
    """Results of the same images under another name or ID are other objects; the lesion stays the lesion."""
    corrected = headers_of(*mr_series(SHAPE, PatientID="CORRECTED"))
    analysis = analysis_of(IMAGES, segmented(MASK))
    before, after = (encode(analysis, sources, EQUIPMENT, WHEN) for sources in (SOURCES, corrected))
    assert not {each.SOPInstanceUID for each in before} & {each.SOPInstanceUID for each in after}
    assert before[0].SegmentSequence[0].TrackingUID == after[0].SegmentSequence[0].TrackingUID


def test_another_node_version_has_other_uids():
    """A new node may encode differently, so its objects are others."""
    newer = dataclasses.replace(EQUIPMENT, software_versions="0.2.0")
    analysis = analysis_of(IMAGES, segmented(MASK))
    assert not set(uids(analysis)) & set(uids(analysis, newer))


def test_the_time_of_the_run_does_not_count():
    """A repeated run makes the same objects."""
    analysis = analysis_of(IMAGES, segmented(MASK))
    assert uids(analysis) == uids(analysis, when=WHEN + datetime.timedelta(days=1))


def test_each_algorithm_is_contributing_equipment():
    """One Processing Equipment item per algorithm, with names and a Device UID from its digest (AIR 6.5.3.1)."""
    for result in encode(analysis_of(IMAGES, segmented(MASK)), SOURCES, EQUIPMENT, WHEN):
        (item,) = result.ContributingEquipmentSequence
        assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert (item.Manufacturer, item.ManufacturerModelName, item.SoftwareVersions, item.DeviceUID) == (
            UNET.manufacturer,
            UNET.name,
            UNET.version,
            device_uid(UNET),
        )


def test_equipment_and_marks():
    """Every result names the node as equipment, is marked as research, and says so in its series' name."""
    for result in encode(analysis_of(IMAGES, segmented(MASK)), SOURCES, EQUIPMENT, WHEN):
        assert result.ManufacturerModelName == EQUIPMENT.model_name
        assert result.StationName == EQUIPMENT.ae_title
        assert result.ContentQualification == "RESEARCH"
        assert result.SeriesDescription.endswith("Research")
        assert result.file_meta.ImplementationVersionName == "DICOM_AI_NODE"


def test_times_are_the_start_of_the_analysis():
    """Content time is the given time; nothing comes from a clock."""
    _, report, state = encode(analysis_of(IMAGES, segmented(MASK)), SOURCES, EQUIPMENT, WHEN)
    assert (report.ContentDate, report.ContentTime) == ("20260115", "123005.250000")
    assert (state.PresentationCreationDate, state.PresentationCreationTime) == ("20260115", "123005.250000")


def test_times_are_in_the_zone_of_the_study():
    """Where the study states its zone, results carry it and give their times in it."""
    images = mr_series(SHAPE, TimezoneOffsetFromUTC="+0900")
    (report,) = encode(analysis_of(images, refused()), headers_of(*images), EQUIPMENT, WHEN)
    assert (report.ContentDate, report.ContentTime[:4], report.TimezoneOffsetFromUTC) == ("20260115", "2130", "+0900")


def test_a_naive_time_is_refused():
    """A time without a zone cannot be told from another."""
    with pytest.raises(ValueError, match="aware"):
        encode(analysis_of(IMAGES, refused()), SOURCES, EQUIPMENT, WHEN.replace(tzinfo=None))


def test_no_source_no_result():
    """Without a header nobody knows the patient."""
    with pytest.raises(ValueError, match="no source header"):
        provenance_of(Analysis("1.2"), {}, EQUIPMENT, WHEN)


def test_long_strings_fit():
    """LO values have at most 64 characters and no backslash."""
    assert long_string("a\\b" + "c" * 80) == "a/b" + "c" * 61
