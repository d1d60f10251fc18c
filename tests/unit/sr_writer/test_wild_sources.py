"""Images that break the standard still get their results, and these keep to it."""

import io

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag

from sr_writer.checks import check_object, check_together
from tests.builders.analyses import analysis_of, classified, detected, encode, headers_of, lesion, segmented
from tests.builders.datasets import colour_ultrasound, encoded, enhanced_mr, mr_series, radiograph

SHAPE = (3, 16, 12)
MASK = lesion(SHAPE, start=(0, 4, 3), size=(2, 5, 6))
#: Without these nothing is an image of a study: the reader refuses it (dicom_node/reader.py).
IDENTITY = {
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
}
#: What a value of this representation looks like when it is none, as bytes of a file.
NONSENSE = {
    "AS": b"old",
    "CS": b"\xffneither/nor\x01; but much longer than allowed",
    "DA": b"yesterday ",
    "DS": b"1,5 or so ",
    "IS": b"one.",
    "LO": b"x" * 90,
    "LT": b"\x01\x02",
    "PN": b"A" * 200,
    "SH": b"x" * 30,
    "TM": b"noon",
    "UI": b"1.02.x",
}
SOURCES = {
    "MR": (mr_series(SHAPE), (classified("mri region", "brain"), segmented(MASK))),
    "DX": ([radiograph()], (detected((1, 1, 9, 9)),)),
    "US": ([colour_ultrasound()], (detected((1, 1, 9, 9)),)),
    "enhanced MR": ([enhanced_mr(SHAPE)], (segmented(MASK),)),
}


def attributes():
    """(kind, keyword) of everything at the top of each kind of image but its identity and its pixels."""
    for kind, (images, _) in SOURCES.items():
        for element in headers_of(images[0])[images[0].SOPInstanceUID]:
            keyword = element.keyword
            if keyword and keyword not in IDENTITY:
                yield kind, keyword


KNOWN = list(attributes())
#: Of a wrong character set pydicom makes the default one.
MISREAD = [each for each in KNOWN if dictionary_VR(each[1]) in NONSENSE and each[1] != "SpecificCharacterSet"]


def results_of(kind, sources):
    """Written and read again; our own checks find nothing wrong with them."""
    images, runs = SOURCES[kind]
    made = [pydicom.dcmread(io.BytesIO(encoded(each))) for each in encode(analysis_of(images, *runs), sources)]
    assert "SR" in {each.Modality for each in made}
    assert check_together(made) == ()
    assert [problem for each in made for problem in check_object(each, {})] == []
    return made


@pytest.mark.parametrize(("kind", "keyword"), KNOWN, ids=[" ".join(each) for each in KNOWN])
def test_without_any_attribute(kind, keyword):
    """Of whatever type it is in the images."""
    sources = headers_of(*SOURCES[kind][0])
    for source in sources.values():
        del source[keyword]
    results_of(kind, sources)


@pytest.mark.filterwarnings("ignore")  # pydicom's about the values
@pytest.mark.parametrize(("kind", "keyword"), MISREAD, ids=[" ".join(each) for each in MISREAD])
def test_with_nonsense_in_any_attribute(kind, keyword):
    """As it comes from a file."""
    sources = headers_of(*SOURCES[kind][0])
    for source in sources.values():
        raw = pydicom.dcmread(io.BytesIO(encoded(source)))
        value = NONSENSE[dictionary_VR(keyword)]
        element = raw.get_item(keyword)
        source._dict[element.tag] = element._replace(value=value, length=len(value))
    results_of(kind, sources)


@pytest.mark.filterwarnings("ignore")  # pydicom's about the values
@pytest.mark.parametrize("kind", SOURCES)
def test_with_codes_and_requests_that_break_the_rules(kind):
    """In sequences, too: meanings and identifiers that are too long, codes without a scheme."""
    sources = headers_of(*SOURCES[kind][0])
    for source in sources.values():
        request, code, empty = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "m" * 80
        empty.CodeValue = "2"
        request.RequestedProcedureID, request.AccessionNumber = "r" * 30, "a" * 30
        request.RequestedProcedureCodeSequence = [empty, code]
        source.RequestAttributesSequence, source.ProcedureCodeSequence = [request], [code, empty]
    results_of(kind, sources)


@pytest.mark.parametrize("kind", SOURCES)
def test_with_nothing_but_identity_and_grid(kind):
    """All at once."""
    sources = headers_of(*SOURCES[kind][0])
    for source in sources.values():
        for tag in list(source.keys()):
            if keyword_for_tag(tag) not in IDENTITY:
                del source[tag]
    results_of(kind, sources)
