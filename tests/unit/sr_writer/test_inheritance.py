"""Results belong to the patient and study of their sources, value for value, whatever the character set."""

import io

import pydicom
import pytest
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset

from tests.builders.analyses import (
    EQUIPMENT,
    WHEN,
    analysis_of,
    classified,
    detected,
    encode,
    headers_of,
    lesion,
    refused,
    segmented,
)
from tests.builders.datasets import encoded, mr_series, radiograph

SHAPE = (3, 32, 24)
MASK = lesion(SHAPE, start=(1, 8, 6), size=(2, 6, 7))
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)


def results_of(images, *runs):
    """Results of an analysis, written and read again."""
    results = encode(analysis_of(images, *runs), headers_of(*images), EQUIPMENT, WHEN)
    return [pydicom.dcmread(io.BytesIO(encoded(each))) for each in results]


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("ISO_IR 126", "Παπαδόπουλος^Γιώργος"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        (None, "Plain^Ascii"),
    ],
    ids=[
        "German",
        "Japanese",
        "Japanese half width",
        "Greek",
        "Korean",
        "Chinese",
        "Cyrillic",
        "UTF-8",
        "no character set",
    ],
)
def test_names_are_equal_after_decoding(character_set, name):
    """Every result is in UTF-8 and its texts decode to what the source's do, in sequences, too."""
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "X-1", "TEXT"
    other.IssuerOfPatientID = name.split("=")[0]
    images = mr_series(
        SHAPE,
        SpecificCharacterSet=character_set,
        PatientName=name,
        StudyDescription=name.split("=")[0],
        OtherPatientIDsSequence=[other],
    )
    results = results_of(images, segmented(MASK))
    assert len(results) == 3
    for result in results:
        assert result.SpecificCharacterSet == "ISO_IR 192"
        assert result.PatientName == name
        assert result.StudyDescription == name.split("=")[0]
        assert result.OtherPatientIDsSequence[0].IssuerOfPatientID == name.split("=")[0]


def test_patient_and_study_are_taken_over():
    """Optional attributes of patient and study are taken over, empty ones stay empty, foreign ones stay out."""
    images = mr_series(SHAPE, IssuerOfPatientID="HOSPITAL", PatientWeight="70.5", PatientComments="", KVP="120")
    for result in results_of(images, segmented(MASK)):
        for keyword in (*TYPE_2, "StudyInstanceUID", "PatientAge", "IssuerOfPatientID", "PatientWeight"):
            assert result[keyword].value == images[0][keyword].value, keyword
        assert result.PatientComments == ""
        assert "KVP" not in result


def test_missing_attributes_are_written_empty():
    """A source without Type 2 attributes makes results that have them, empty."""
    images = mr_series(SHAPE, **dict.fromkeys(TYPE_2))
    for result in results_of(images, segmented(MASK)):
        for keyword in TYPE_2:
            assert keyword in result
            assert not result[keyword].value


@pytest.mark.parametrize("keyword", TYPE_2)
def test_empty_attributes_stay_empty(keyword):
    """An empty value, an empty name as well, is carried on as it is."""
    images = mr_series(SHAPE, **{keyword: ""})
    for result in results_of(images, segmented(MASK)):
        assert not result[keyword].value


def sources_with(images, keyword, value):
    """Headers of `images` as they would be read with these bytes for `keyword`."""
    sources = headers_of(*images)
    for source in sources.values():
        raw = source.get_item(keyword)
        source._dict[raw.tag] = raw._replace(value=value, length=len(value))
    return sources


@pytest.mark.parametrize(
    ("keyword", "value", "carried"),
    [
        ("PatientBirthDate", "unknown", ""),
        ("PatientBirthDate", "1970-02-03", "19700203"),
        ("PatientSex", "X", ""),
        ("PatientSex", "female", "F"),
        ("PatientAge", "55", ""),
        ("PatientAge", "55y", "055Y"),
        ("StudyTime", "12:30:05", "123005"),
        ("StudyID", "S" * 17, ""),
        ("StudyDescription", "D" * 65, "D" * 64),
        ("StudyDescription", "head\\neck", "head/neck"),
        ("AccessionNumber", "A\\B", ""),
    ],
)
@pytest.mark.filterwarnings("ignore")  # the source is made wrong on purpose
def test_wrong_values_are_mended_or_left_empty_and_told(keyword, value, carried):
    """What can be mended without guessing is; of an identifier nothing is cut; the report names what was done, not the
    value."""
    images = mr_series(SHAPE, PatientWeight="70", StudyDescription="x", PatientAge="001D")
    sources = sources_with(images, keyword, value.encode().ljust(len(value) + len(value) % 2))
    results = [
        pydicom.dcmread(io.BytesIO(encoded(each)))
        for each in encode(analysis_of(images, segmented(MASK)), sources, EQUIPMENT, WHEN)
    ]
    assert len(results) == 3
    for result in results:
        assert str(result[keyword].value or "") == carried
    repairs = [line for line in texts_in(results[1]) if line.startswith(dictionary_description(keyword))]
    assert len(repairs) == 1
    assert value not in repairs[0]


@pytest.mark.filterwarnings("ignore")
def test_a_number_that_is_none_is_left_empty_and_told():
    """A comma in a decimal string."""
    images = mr_series(SHAPE, PatientWeight="70")
    results = encode(analysis_of(images, segmented(MASK)), sources_with(images, "PatientWeight", b"70,25 "))
    assert all(result.PatientWeight is None for result in results)
    assert "Patient's Weight held no legal value of DS and is empty here" in texts_in(results[1])


def test_nothing_is_told_of_images_that_keep_to_the_standard():
    """Names in every script, empty and absent optional attributes are no repairs."""
    images = mr_series(SHAPE, SpecificCharacterSet="ISO_IR 192", PatientName="Παπαδόπουλος^Γιώργος")
    _, report, _ = results_of(images, segmented(MASK))
    assert not [line for line in texts_in(report) if "empty here" in line or "was not" in line]


def test_a_missing_frame_of_reference_is_made_up_and_told():
    """The segmentation needs one (Type 1): it is derived from the series, the same each time."""
    images = mr_series(SHAPE, FrameOfReferenceUID=None)
    first, report, _ = results_of(images, segmented(MASK))
    again, *_ = results_of(images, segmented(MASK))
    assert first.FrameOfReferenceUID == again.FrameOfReferenceUID
    assert any("Frame of Reference UID is absent or no UID" in line for line in texts_in(report))


def texts_in(report):
    """Every TEXT of a report."""
    found = []

    def walk(item):
        found.extend([str(item.TextValue)] if "TextValue" in item else [])
        for child in item.get("ContentSequence", []):
            walk(child)

    walk(report)
    return found


def test_an_unreadable_attribute_is_left_out(caplog):
    """A value that cannot be parsed stays behind, with a line in the log that names the attribute."""
    images = mr_series(SHAPE, PregnancyStatus=4)
    sources = sources_with(images, "PregnancyStatus", b"\1\0\0")
    (report,) = encode(analysis_of(images, refused()), sources, EQUIPMENT, WHEN)
    assert "PregnancyStatus" not in report
    assert "PregnancyStatus" in caplog.text


def test_results_never_join_a_source_series():
    """Same study, series of their own."""
    images = mr_series(SHAPE)
    results = results_of(images, segmented(MASK))
    assert {each.StudyInstanceUID for each in results} == {images[0].StudyInstanceUID}
    assert images[0].SeriesInstanceUID not in {each.SeriesInstanceUID for each in results}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"BodyPartExamined": "HAND"}, "HAND"),
        ({"BodyPartExamined": ""}, "WRIST"),
        ({"BodyPartExamined": None}, "WRIST"),
    ],
)
def test_body_part_is_the_sources_else_the_classified_one(attributes, expected):
    """The header's body part is kept; only where it is silent the classification speaks."""
    image = radiograph(**attributes)
    _, state = results_of([image], classified("x-ray region", "wrist"), detected((1, 1, 9, 9)))
    assert state.BodyPartExamined == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"modality": "CR", "Laterality": "L"}, "L"),
        ({"ImageLaterality": "R"}, "R"),
        ({"ImageLaterality": "B"}, None),
        ({"ImageLaterality": "L", "Laterality": "R"}, None),
    ],
    ids=["series", "image", "both sides", "contradiction"],
)
def test_laterality_is_the_sources(attributes, expected):
    """A single clear side is carried on, anything else is not."""
    _, state = results_of([radiograph(**attributes)], detected((1, 1, 9, 9)))
    assert state.get("Laterality") == expected


def test_an_unknown_body_part_leaves_the_side_unknown():
    """With neither body part nor side the presentation state says that the side is unknown."""
    _, state = results_of([radiograph(BodyPartExamined=None, ImageLaterality=None)], detected((1, 1, 9, 9)))
    assert "BodyPartExamined" not in state
    assert state.Laterality == ""
