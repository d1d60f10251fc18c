"""Checks of captures, key objects, documents, maps and colour presentation states, over objects of highdicom."""

import io

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL.ImageCms import ImageCmsProfile, createProfile
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.uid import EncapsulatedPDFStorage

from sr_writer import codes
from sr_writer.checks import check_object
from sr_writer.checks.other_objects import ENCAPSULATED_PDF, KEY_OBJECT_SELECTION, PARAMETRIC_MAP, SECONDARY_CAPTURE
from sr_writer.checks.presentation import COLOUR_STATE
from sr_writer.provenance import provenance_of, sign
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, headers_of, segmented
from tests.builders.datasets import colour_ultrasound, encoded, mr_series

IMAGES = mr_series((2, 8, 8))
COLOUR = colour_ultrasound((8, 8))
SOURCES = headers_of(*IMAGES, COLOUR)
PROVENANCE = provenance_of(analysis_of(IMAGES, segmented()), SOURCES, EQUIPMENT, WHEN)
EVIDENCE = "CurrentRequestedProcedureEvidenceSequence"
WHO = {
    "series_number": 1,
    "instance_number": 1,
    "manufacturer": "M",
    "manufacturer_model_name": "N",
    "software_versions": "1",
    "device_serial_number": "2",
}


def named(role):
    """UIDs of one object."""
    return {"series_instance_uid": PROVENANCE.uid(role, "series"), "sop_instance_uid": PROVENANCE.uid(role)}


def capture():
    """A snapshot in colour."""
    result = hd.sc.SCImage.from_ref_dataset(
        IMAGES[0], np.ones((8, 8, 3), np.uint8), "RGB", 8, "PATIENT", **named("SC"),
        series_number=1, instance_number=1, manufacturer="M", pixel_spacing=(1, 1), patient_orientation=("L", "P"),
    )  # fmt: skip
    result.ImageType, result.BurnedInAnnotation = ["DERIVED", "SECONDARY"], "YES"
    return result


def key_objects():
    """A selection of one image."""
    content = hd.ko.KeyObjectSelection(dictionary.DCM.OfInterest, [IMAGES[0]])
    return hd.ko.KeyObjectSelectionDocument(
        IMAGES[:1], content, **named("KO"), series_number=1, instance_number=1, manufacturer="M"
    )


def document():
    """A report to read on paper."""
    result = Dataset()
    result.SOPClassUID, result.SOPInstanceUID = EncapsulatedPDFStorage, PROVENANCE.uid("PDF")
    result.SeriesInstanceUID, result.SeriesNumber, result.InstanceNumber = PROVENANCE.uid("PDF", "series"), 1, 1
    result.Modality, result.BurnedInAnnotation, result.ConversionType = "DOC", "NO", "WSD"
    result.AcquisitionDateTime, result.DocumentTitle, result.ConceptNameCodeSequence = "", "AI findings", []
    result.MIMETypeOfEncapsulatedDocument, result.EncapsulatedDocument = "application/pdf", b"%PDF-1.7\n"
    return result


def heat_map():
    """Floating point values on a slice."""
    mapping = hd.pm.RealWorldValueMapping(
        "heat", "heat map", codes.NO_UNITS, (0.0, 1.0), slope=1.0, intercept=0.0,
        quantity_definition=hd.sr.CodedConcept("130402", "DCM", "Class activation"),
    )  # fmt: skip
    return hd.pm.ParametricMap(
        IMAGES[:1], np.full((1, 8, 8), 0.5, np.float32), **named("PM"), **WHO,
        contains_recognizable_visual_features=False, real_world_value_mappings=[mapping],
        voi_lut_transformations=[hd.VOILUTTransformation(0.5, 1.0)], content_label="HEAT",
    )  # fmt: skip


def colour_state():
    """A line on a colour image."""
    points = np.array([(1.0, 1.0), (5.0, 1.0), (5.0, 5.0), (1.0, 1.0)])
    graphic = hd.pr.GraphicObject("POLYLINE", points, "PIXEL", False, tracking_id="one", tracking_uid="2.25.1")
    layer = hd.pr.GraphicLayer("AI", order=1)
    image = pydicom.dcmread(io.BytesIO(encoded(COLOUR)))
    annotation = hd.pr.GraphicAnnotation([image], layer, graphic_objects=[graphic])
    return hd.pr.ColorSoftcopyPresentationState(
        [image], **named("PR"), **WHO, content_label="AI", graphic_layers=[layer], graphic_annotations=[annotation],
        icc_profile=profile(),
    )  # fmt: skip


def profile():
    """A profile of a colour space; Pillow's is that of a monitor, which differs in its device class (ICC.1 7.2.5)."""
    made = ImageCmsProfile(createProfile("sRGB")).tobytes()
    return made[:12] + b"spac" + made[16:]


BUILT = {
    "SC": (capture, SECONDARY_CAPTURE),
    "KO": (key_objects, KEY_OBJECT_SELECTION),
    "PDF": (document, ENCAPSULATED_PDF),
    "PM": (heat_map, PARAMETRIC_MAP),
    "colour PR": (colour_state, COLOUR_STATE),
}
REMOVED = {
    "SC": {
        "secondary-capture": "ConversionType ImageType PixelData SamplesPerPixel Rows Columns"
        " PhotometricInterpretation BitsAllocated BitsStored HighBit PixelRepresentation InstanceNumber",
        "capture-rgb": "PlanarConfiguration",
        "capture-pixels": "Rows",
    },
    "KO": {
        "key-object-document": "InstanceNumber ContentDate ContentTime ValueType ContinuityOfContent"
        f" ConceptNameCodeSequence ContentTemplateSequence ContentSequence {EVIDENCE} {EVIDENCE}/StudyInstanceUID"
        f" {EVIDENCE}/ReferencedSeriesSequence {EVIDENCE}/ReferencedSeriesSequence/SeriesInstanceUID"
        f" {EVIDENCE}/ReferencedSeriesSequence/ReferencedSOPSequence",
        "key-objects": f"ContentTemplateSequence/TemplateIdentifier ContentSequence {EVIDENCE}",
        "content-items": "ContentSequence/ValueType",
    },
    "PDF": {
        "encapsulated-document": "InstanceNumber BurnedInAnnotation MIMETypeOfEncapsulatedDocument"
        " EncapsulatedDocument ContentDate ContentTime AcquisitionDateTime DocumentTitle ConceptNameCodeSequence",
        "pdf": "EncapsulatedDocument",
    },
    "PM": {
        "parametric-map": "InstanceNumber ContentLabel ContentDate ContentTime ImageType SamplesPerPixel Rows Columns"
        " PhotometricInterpretation BitsAllocated LossyImageCompression BurnedInAnnotation RecognizableVisualFeatures"
        " PresentationLUTShape NumberOfFrames DimensionOrganizationSequence DimensionIndexSequence"
        " SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence FrameOfReferenceUID ContentDescription"
        " ContentCreatorName",
        "map-values": "FloatPixelData SharedFunctionalGroupsSequence",
    },
    "colour PR": {
        "icc-profile": "ICCProfile",
        "graphic-points": "GraphicAnnotationSequence/GraphicObjectSequence/NumberOfGraphicPoints",
    },
}


def built(kind):
    """The object, signed by the node."""
    result = BUILT[kind][0]()
    sign(result, PROVENANCE, "AI - Research")
    if kind == "PM":
        result.ContentCreatorName = None
    return result


@pytest.mark.parametrize("kind", BUILT)
def test_good_objects_have_no_problem(kind):
    """Made by highdicom and signed by the node."""
    assert check_object(built(kind), SOURCES) == ()


@pytest.mark.parametrize(
    ("kind", "check", "path"),
    [
        (kind, check, path)
        for kind, table in REMOVED.items()
        for check, paths in table.items()
        for path in paths.split()
    ],
)
def test_a_missing_attribute_is_told(kind, check, path):
    """By the check of that name."""
    dataset = built(kind)
    *sequences, keyword = path.split("/")
    item = dataset
    for sequence in sequences:
        item = item[sequence].value[0]
    del item[keyword]
    assert check in {problem.check for problem in check_object(dataset, SOURCES)}


@pytest.mark.parametrize("kind", [kind for kind in BUILT if kind != "colour PR"])
def test_every_check_is_killed_by_something(kind):
    """A check that no mutation makes fail is no check; those of presentation states are in test_mutations."""
    assert {check.name for check in BUILT[kind][1]} == set(REMOVED[kind])
