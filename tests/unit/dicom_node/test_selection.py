"""Headers alone decide which instances are pictures worth analysing, and whose."""

import pytest
from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MRImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    RTDoseStorage,
    RTImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    TwelveLeadECGWaveformStorage,
    UltrasoundMultiFrameImageStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from dicom_node.equipment import equipment_of
from dicom_node.selection import belong_to_study_patient, is_image, reasons_to_leave_out


def header(sop_class=MRImageStorage, image_type=("ORIGINAL", "PRIMARY", "OTHER"), **attributes):
    """A header with as much as selection looks at."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.ImageType, dataset.Modality = sop_class, list(image_type), "MR"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def reason(one, analyse_secondary_captures=False):
    """Why the only instance of a study is left out."""
    return reasons_to_leave_out([one], analyse_secondary_captures)[0]


@pytest.mark.parametrize(
    ("sop_class", "is_picture"),
    [
        (CTImageStorage, True),
        (EnhancedMRImageStorage, True),
        (UltrasoundMultiFrameImageStorage, True),
        (DigitalXRayImageStorageForPresentation, True),
        (SegmentationStorage, False),
        (ParametricMapStorage, False),
        (RTDoseStorage, False),
        (BasicTextSRStorage, False),
        (GrayscaleSoftcopyPresentationStateStorage, False),
        (TwelveLeadECGWaveformStorage, False),
        ("1.2.3.4", False),
    ],
)
def test_the_standards_name_tells_images(sop_class, is_picture):
    """Images are the SOP classes registered as image storage; what merely has pixels is not among them."""
    assert is_image(header(sop_class)) is is_picture
    assert (reason(header(sop_class)) is None) is is_picture


@pytest.mark.parametrize("sop_class", [VLWholeSlideMicroscopyImageStorage, RTImageStorage])
def test_images_that_form_no_stack_are_left_out(sop_class):
    """Tiles of a slide and radiotherapy verification images are images, and yet not analysed."""
    assert reason(header(sop_class))


@pytest.mark.parametrize(
    ("image_type", "expected"),
    [
        (("ORIGINAL", "PRIMARY", "AXIAL"), None),
        (("DERIVED", "PRIMARY"), None),  # lossy compression, most detectors
        (("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"), None),
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "localizer"),
        (("ORIGINAL", "SECONDARY", "OTHER", "SCOUT"), "localizer"),
        (("DERIVED", "PRIMARY", "PROJECTION IMAGE"), "projection"),
        (("DERIVED", "PRIMARY", "DIFFUSION", "ADC"), "map"),
        (("LOCALIZER",), None),  # value 1 says nothing of the kind
        ((), None),
    ],
)
def test_image_type_decides(image_type, expected):
    """Localizers, maps and projections are left out by Image Type, derived primary images are not."""
    found = reason(header(image_type=image_type))
    assert (found is None) if expected is None else (expected in found)


def test_projection_technique_counts_without_image_type():
    """An enhanced image that states a projection technique is a projection."""
    assert "projection" in reason(header(EnhancedMRImageStorage, VolumeBasedCalculationTechnique="MAX_IP"))


def test_raw_detector_data_is_left_out():
    """Images for processing are not made for reading."""
    raw = header(DigitalXRayImageStorageForPresentation, PresentationIntentType="FOR PROCESSING")
    assert "FOR PROCESSING" in reason(raw)


@pytest.mark.parametrize("sop_class", [SecondaryCaptureImageStorage, MultiFrameTrueColorSecondaryCaptureImageStorage])
def test_configuration_decides_on_secondary_captures(sop_class):
    """Secondary captures are analysed only where the configuration says so, derived as they are."""
    capture = header(sop_class, image_type=("DERIVED", "SECONDARY"))
    assert "configuration" in reason(capture)
    assert reason(capture, analyse_secondary_captures=True) is None


def test_a_result_of_the_node_is_left_out():
    """Its snapshot is no image of the study, even where secondary captures are, and under another UID."""
    own = equipment_of("AINODE")
    snapshot = header(SecondaryCaptureImageStorage, SOPInstanceUID="1.2.3", Manufacturer=own.manufacturer,
                      ManufacturerModelName=own.model_name)  # fmt: skip
    assert reason(snapshot, analyse_secondary_captures=True) == "is a result of this node"
    snapshot.Manufacturer = "Another vendor"
    assert reason(snapshot, analyse_secondary_captures=True) is None


def test_derived_secondary_images_count_only_without_their_sources():
    """A reformat is left out beside images of its modality and analysed where there are none."""
    reformat = header(image_type=("DERIVED", "SECONDARY", "MPR"))
    localizer = header(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    other_modality = header(CTImageStorage, Modality="CT")
    assert reasons_to_leave_out([reformat, localizer, other_modality], False)[0] is None
    assert "derived" in reasons_to_leave_out([header(), reformat], False)[1]


def test_values_of_another_shape_are_no_obstacle():
    """A Modality with two values and an Image Type that is a number are text like any other."""
    odd = header(Modality=["MR", "CT"])
    odd.add_new("ImageType", "IS", "5")
    assert reasons_to_leave_out([odd], False) == (None,)


@pytest.mark.parametrize(
    ("patients", "belongs"),
    [
        ([("A", "", "n"), ("A", "", "other spelling")], (True, True)),
        ([("A", "", ""), ("A", "", ""), ("B", "", "")], (True, True, False)),
        ([("A", "", ""), ("B", "", "")], (False, False)),  # 1 of 2 is no majority
        ([("A", "", ""), ("A", "", ""), ("B", "", ""), ("C", "", "")], (False,) * 4),  # 2 of 4 neither
        ([("A", "X", ""), ("A", "X", ""), ("A", "Y", "")], (True, True, False)),  # same ID, other issuer
        ([("", "", "Doe"), ("", "", "Doe"), ("", "", "Roe")], (True, True, False)),  # names where there is no ID
        ([("", "", ""), ("", "", "")], (True, True)),
    ],
)
def test_the_majority_of_images_names_the_patient(patients, belongs):
    """The study belongs to the patient with more than half of its images, or to nobody."""
    headers = [header(PatientID=id_, IssuerOfPatientID=issuer, PatientName=name) for id_, issuer, name in patients]
    assert belong_to_study_patient(headers) == belongs


def test_only_images_vote_on_the_patient():
    """Reports of another patient neither win nor stay; without images nobody is a stranger."""
    image, report = header(PatientID="A"), header(BasicTextSRStorage, PatientID="B")
    assert belong_to_study_patient([image, report, report]) == (True, False, False)
    assert belong_to_study_patient([report, report]) == (True, True)
