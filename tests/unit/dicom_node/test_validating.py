"""`dicom-node validate`: what tools say is understood, weighed and shown without a single value of a file."""

import json
import sys
from pathlib import Path

import pytest
from pydicom import config, dcmread, dcmwrite

from dicom_node import tables, validating
from dicom_node.validator_messages import Weight, messages_of
from dicom_node.validators import Tool, run
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, encode, headers_of, lesion, segmented
from tests.builders.command import run as command
from tests.builders.datasets import mr_series
from tests.builders.network import saved
from tests.builders.validators import written

SHAPE = (3, 32, 24)
IMAGES = mr_series(SHAPE)
FOUND = analysis_of(IMAGES, segmented(lesion(SHAPE, start=(0, 8, 6), size=(2, 6, 7))))
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
SR = ("Found Root Template TID_1500 (MeasurementReport)", "Root Template Validation Complete")

#: tool, lines, exit code -> weight, rule.
SAID = [
    ("dciodvfy", ["Error - </Laterality(0020,0060)> - Missing attribute for Type 2C Conditional -"
                  " Module=<GeneralSeries>"],
     1, Weight.ERROR, "Laterality: Missing attribute for Type 2C Conditional - Module (GeneralSeries)"),
    ("dciodvfy", ["Error - </PatientSex(0010,0040)[1]> - Unrecognized enumerated value = <SECRET>"],
     1, Weight.ERROR, "PatientSex: Unrecognized enumerated value"),
    ("dciodvfy", ["Error - </A(0040,a730)[3]/UID(0040,a124)[1]> - Value invalid for this VR [UI] = <SECRET> - Character"
                  " invalid for this VR = 'S' (0x53)"], 1, Weight.ERROR, "A/UID: Value invalid for this VR"),
    ("dciodvfy", ["Warning - </ContributingEquipmentSequence(0018,a001)[2]/DeviceUID(0018,1002)> - Attribute is not"
                  " present in standard DICOM IOD"],
     0, Weight.QUIRK, "ContributingEquipmentSequence/DeviceUID: Attribute is not present in standard DICOM IOD"),
    ("dciodvfy", ["Warning - </CodingSchemeDesignator(0008,0102)[1]> - Unrecognized defined term = <99SECRET>"],
     0, Weight.WARNING, "CodingSchemeDesignator: Unrecognized defined term"),
    ("dciodvfy", ["Warning - </CodingSchemeDesignator(0008,0102)[1]> - Unrecognized defined term = <99DICOMAINODE>"],
     0, Weight.QUIRK, "CodingSchemeDesignator: Unrecognized defined term"),
    ("dciodvfy", ["Segmentation fault"], 139, Weight.ERROR, "ended with code 139"),
    ("dsrdump", ["W: The VR checker does not support this Specific Character Set: ISO_IR 192", "<HTML SECRET"],
     0, Weight.QUIRK, "The VR checker does not support this Specific Character Set"),
    ("dsrdump", ["W: Reading unknown/unsupported CompletionFlag (SECRET)"],
     0, Weight.WARNING, "Reading unknown/unsupported CompletionFlag"),
    ("dsrdump", ['E: Reading content item CODE "SECRET" (Invalid Value)'],
     1, Weight.ERROR, "Reading content item CODE"),
    ("segimage2itkimage", ["W: ContentCreatorName (0070,0084) absent in ContentIdentificationMacro (type 2)"],
     0, Weight.WARNING, "ContentCreatorName (0070,0084) absent in ContentIdentificationMacro"),
    ("tid1500reader", ["SECRET"], 139, Weight.ERROR, "cannot be read by this tool"),
    ("dcmpschk", ["E: Error: Attribute value does not conform to data type definition.",
                  "E:    Affected attribute: ContributionDateTime (0018,a002), Type DT",
                  "E:    Attribute value   : [20260115123005.250000+0000]", "E: ", "W: Test failed - one error."],
     0, Weight.QUIRK, "ContributionDateTime (0018,a002): Attribute value does not conform to data type definition"),
    ("dcmpschk", ["E: Error: Attribute value does not conform to data type definition.",
                  "E:    Affected attribute: PatientBirthDate (0010,0030), Type DA",
                  "E:    Attribute value   : [SECRET]"],
     0, Weight.ERROR, "PatientBirthDate (0010,0030): Attribute value does not conform to data type definition"),
    ("dcmpschk", ["W: Error: Value Length too large.", "W:    Affected attribute: ",
                  "W: (0008,0050) SH [SECRET]            #  28, 1 AccessionNumber"],
     0, Weight.WARNING, "(0008,0050): Value Length too large"),
    ("dcmpschk", ["I: Pass 3 - Semantic Check of", "E: displayedAreaSelectionSQ absent or empty"],
     0, Weight.ERROR, "displayedAreaSelectionSQ absent or empty"),
    ("DicomSRValidator", [*SR, 'Error: Template 1004 D/[Row 1] UIDREF (121012,DCM,"Device Observer UID"): within 1:'
                          ' /CONTAINER (126000,DCM,"X"): Incorrect content item value multiplicity - found 2'],
     0, Weight.QUIRK, "TID 1004 Row 1 (121012, DCM) Incorrect content item value multiplicity - found 2"),
    ("DicomSRValidator", [*SR, 'Error: Template 1410 P/[Row 1] CONTAINER (125007,DCM,"G")/[Row 4] CODE (1,SCT,"S"):'
                          ' 1.2: /CONTAINER (126000,DCM,"X"): Incorrect relationship "SECRET"'],
     0, Weight.ERROR, "TID 1410 Row 4 (1, SCT) Incorrect relationship"),
    ("DicomSRValidator", [*SR, 'Error: Template 1410 P/[Row 1] CONTAINER (125007,DCM,"G")/[Row 5] SCOORD'
                          ' (111030,DCM,"Image Region"): within 1.8.1: /CONTAINER (1,DCM,"X"): Missing conditional'
                          " content item"],
     0, Weight.QUIRK, "TID 1410 Row 5 (111030, DCM) Missing conditional content item"),
    ("DicomSRValidator", [*SR, 'Warning: 1.12.1.5: /CONTAINER (126000,DCM,"X")/TEXT (7,DCM,"Y"): Content Item not in'
                          " template"], 0, Weight.WARNING, "(7, DCM) Content Item not in template"),
    ("DicomSRValidator", SR[1:], 0, Weight.ERROR, "does not say Found Root Template TID_1500"),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "lines", "exit_code", "weight", "rule"), SAID)
def test_what_tools_say_is_understood(tool, lines, exit_code, weight, rule):
    """The rule without the value, whether it matters, and a sentence that says why."""
    messages = messages_of(tool, lines, exit_code, "")
    assert [(message.weight, message.rule) for message in messages if message.rule == rule] == [(weight, rule)]
    assert all(message.explanation for message in messages)
    assert "SECRET" not in "".join(f"{message.rule}{message.explanation}" for message in messages)


def test_a_quirk_of_one_kind_of_object_is_an_error_of_any_other():
    """Dciodvfy is too old for label maps, and right about everything else that it does not know."""
    line = ["Error - Information Object Not found"]
    assert [each.weight for each in messages_of("dciodvfy", line, 1, LABEL_MAP)] == [Weight.QUIRK]
    assert [each.weight for each in messages_of("dciodvfy", line, 1, "1.2.3")] == [Weight.ERROR]


def test_a_tool_that_does_not_end_says_nothing_about_the_object(monkeypatch, tmp_path):
    """It is stopped, and that is told."""
    monkeypatch.setattr("dicom_node.validators.LIMIT_S", 0.01)
    endless = Tool("dciodvfy", sys.executable, "python", lambda *_: ("-c", "while True: pass"))
    told = run(endless, tmp_path)
    assert told.exit_code is None
    (message,) = messages_of("dciodvfy", told.lines, told.exit_code, "")
    assert (message.weight, message.rule) == (Weight.WARNING, "no answer")


def test_a_tool_sees_an_argument_as_it_is(tmp_path):
    """No shell has a look at names of files first, and what a tool writes is gone afterwards."""
    program = "import json, sys, pathlib; pathlib.Path(sys.argv[2], 'x').touch(); print(json.dumps(sys.argv[1:]))"
    tool = Tool("t", sys.executable, "python", lambda file, folder: ("-c", program, str(file), str(folder)))
    path = tmp_path / "a $(touch gone); 'b'.dcm"
    (line,) = run(tool, path).lines
    file, folder = json.loads(line)
    assert file == str(path)
    assert not Path(folder).exists()


@pytest.fixture
def without_tools(monkeypatch):
    """Only checks of our own."""
    monkeypatch.setattr(validating, "TOOLS", ())


@pytest.fixture
def folder(tmp_path):
    """Results of one analysis."""
    written(encode(FOUND, headers_of(*IMAGES), EQUIPMENT, WHEN), tmp_path)
    return tmp_path


def validated(folder, sources=None):
    """Everything below a folder."""
    validator = validating.Validator(sources or {})
    for path in sorted(folder.iterdir()):
        validator.look_at(path)
    return validator.conclude()


@pytest.mark.usefixtures("without_tools")
def test_good_results_pass(folder):
    """Three objects, no error; a text file is passed over."""
    (folder / "notes.txt").write_text("not DICOM")
    validation = validated(folder, headers_of(*IMAGES))
    assert (len(validation.files), validation.errors, validation.passed_over) == (3, 0, (folder / "notes.txt",))
    assert "0 errors in 3 DICOM files" in list(tables.validation_remarks(validation))


@pytest.mark.usefixtures("without_tools")
def test_errors_are_counted_wherever_they_are(folder):
    """Between objects, in a file that cannot be parsed, and in one that is no DICOM after its first bytes."""
    (folder / "1_SR.dcm").unlink()
    state = (folder / "2_PR.dcm").read_bytes()
    (folder / "3_PR.dcm").write_bytes(state.replace(b"CS\x0a\x00ISO", b"\xff\xff\x0a\x00ISO", 1))
    (folder / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\7" * 9)
    validation = validated(folder)
    assert {message.rule for message in validation.together} == {"report-beside"}
    assert [file.messages[0].rule for file in validation.files if file.messages] == ["unreadable", "sop-common"]
    assert validation.errors == 4
    assert {record["path"] for record in json.loads(tables.validation_json(validation))["files"]} == {
        str(file.path) for file in validation.files
    }


@pytest.mark.usefixtures("without_tools")
@pytest.mark.parametrize("keyword", ["SOPClassUID", "PatientID", "SeriesInstanceUID", "ContentDate"])
def test_a_wrong_value_is_never_shown(folder, keyword, recwarn):
    """Neither in a message nor in a warning of pydicom, which quotes what it warns of."""
    with config.disable_value_validation():
        report = dcmread(folder / "1_SR.dcm")
        setattr(report, keyword, "SECRET" * 12)
        report.save_as(folder / "1_SR.dcm")
    told = tables.validation_json(validated(folder, validating.image_headers(folder)))
    assert "SECRET" not in told
    assert [warning for warning in recwarn if "SECRET" in str(warning.message)] == []


def test_what_tools_say_is_added(folder, monkeypatch):
    """By each tool that is there and knows the kind of object; the others are named."""
    line = "Error - </PatientID(0010,0020)> - Missing attribute for Type 2 Required - Module=<Patient>"
    there = Tool("dciodvfy", sys.executable, "here", lambda *_: ("-c", f"print({line!r})"))
    other_kind = Tool("dsrdump", sys.executable, "here", lambda *_: ("-c", "print('E: x')"), frozenset(("1.2.3",)))
    gone = Tool("gone", "no-such-program", "elsewhere", lambda *_: ())
    monkeypatch.setattr(validating, "TOOLS", (there, other_kind, gone))
    validation = validated(folder)
    assert validation.errors == 3
    assert {message.tool for file in validation.files for message in file.messages} == {"dciodvfy"}
    assert "not found: gone, of the package elsewhere" in list(tables.validation_remarks(validation))
    assert tables.validation_table(validation).row_count == 3


@pytest.mark.usefixtures("without_tools")
def test_images_are_found_and_no_results_of_the_node(folder):
    """Images have no checks of ours; their headers are what results are held against."""
    for image in IMAGES:
        saved(image, folder / "images")
    headers = validating.image_headers(folder / "images")
    assert set(headers) == {image.SOPInstanceUID for image in IMAGES}
    validator = validating.Validator({})
    image = IMAGES[0]
    dcmwrite(folder / "image.dcm", image, enforce_file_format=True)
    validator.look_at(folder / "image.dcm")
    assert validator.conclude().errors == 0


def test_the_command_ends_with_what_it_found(folder, tmp_path_factory):
    """0 and a table without an error, 1 with one, 1 where there is nothing."""
    good = command("validate", folder, "--json")
    assert (good.returncode, json.loads(good.stdout)["errors"]) == (0, 0), good.stdout
    (folder / "1_SR.dcm").unlink()
    bad = command("validate", folder / "2_PR.dcm")
    assert (bad.returncode, "report-beside" in bad.stdout) == (1, True)
    empty = tmp_path_factory.mktemp("empty")
    assert (command("validate", empty).returncode, command("validate", empty / "gone").returncode) == (1, 1)
