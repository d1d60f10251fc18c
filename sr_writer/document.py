"""The report as a page to read, in an Encapsulated PDF (PS3.3 A.45.1), for archives that keep letters and not reports.

It says what the Structured Report says, in words; the report stays the original.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from inference.findings import Analysis
from sr_writer import codes, wording
from sr_writer.described import DescribedVolume
from sr_writer.inheritance import inherit_body_part, inherit_laterality
from sr_writer.provenance import Predecessor, Provenance, sign

_SERIES_NUMBER = 9600
#: A4 in inches, and what fits on it.
_PAGE = (8.27, 11.69)
_CHARACTERS, _LINES = 96, 62
_LEFT, _TOP, _LINE_HEIGHT = 0.08, 0.95, 0.0145
_INDENT = "    "
#: DejaVu Sans has the letters of Europe, the Near East and the Caucasus; later ones it mostly lacks.
_FIRST_WITHOUT_GLYPH = 0x0700


def document(
    analysis: Analysis,
    volumes: Sequence[DescribedVolume],
    provenance: Provenance,
    predecessor: Predecessor | None,
) -> Dataset:
    """The Encapsulated PDF of an analysis, made whatever the outcome."""
    result = Dataset()
    result.SOPClassUID = EncapsulatedPDFStorage
    after = () if predecessor is None else ("after", predecessor.sop_instance_uid)
    result.SOPInstanceUID = provenance.uid("PDF", *after)
    result.Modality = "DOC"
    result.ConversionType = "WSD"
    result.SeriesInstanceUID = provenance.uid("PDF series", *after)
    result.SeriesNumber = _SERIES_NUMBER
    result.InstanceNumber = 1
    result.AcquisitionDateTime = None
    result.BurnedInAnnotation = "YES"
    result.DocumentTitle = "AI findings - Research"
    result.ConceptNameCodeSequence = [codes.item(codes.DIAGNOSTIC_IMAGING_REPORT)]
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    result.SourceInstanceSequence = [_reference(source) for source in provenance.sources.values()]
    content = _pdf(list(_lines(analysis, volumes, provenance, predecessor)))
    result.EncapsulatedDocumentLength = len(content)
    result.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    sign(result, provenance, "AI report page - Research")
    inherit_body_part(result, provenance.subject, analysis.runs)
    inherit_laterality(result, provenance.subject)
    return result


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item


def _lines(
    analysis: Analysis,
    volumes: Sequence[DescribedVolume],
    provenance: Provenance,
    predecessor: Predecessor | None,
) -> Iterator[str]:
    yield from (wording.RESEARCH_USE_ONLY, "", *_subject(provenance), "", f"Analysis: {analysis.outcome}")
    for described in volumes:
        yield ""
        number = described.headers[0].get("SeriesNumber")
        yield f"Series {number if number is not None else 'without number'}, {described.volume.shape[0]} slices"
        yield from (f"{_INDENT}{wording.stage(run)}" for run in described.runs)
        yield from (f"{_INDENT}Finding: {wording.finding(finding)}" for finding in described.findings)
        yield from (f"{_INDENT}Image quality: {flag.text}" for flag in described.quality)
    yield from _told("Not analysed", [f"{each.reason} ({each.sop_instance_uid})" for each in analysis.exclusions])
    yield from _told("Repairs", provenance.repairs)
    yield from _told("Changes since the previous report", () if predecessor is None else predecessor.changes)
    yield from _told("Algorithms", [f"{a.name} {a.version}, sha256 {a.digest[:16]}" for a in provenance.algorithms])


def _told(title: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield from ("", title, *(f"{_INDENT}{text}" for text in texts))


def _subject(provenance: Provenance) -> Iterator[str]:
    """Who and which study, in the letters that the font has: of a name, the alphabetic group."""
    person = str(provenance.subject.get("PatientName") or "")
    alphabetic = person.partition("=")[0].replace("^", " ").strip()
    has_glyphs = all(ord(letter) < _FIRST_WITHOUT_GLYPH for letter in alphabetic)
    yield f"Patient: {alphabetic if alphabetic and has_glyphs else 'see the header' if person else 'not stated'}"
    for keyword, name in (("PatientID", "Patient ID"), ("StudyDate", "Study date"), ("AccessionNumber", "Accession")):
        value = str(provenance.subject.get(keyword) or "")
        told = value if all(ord(letter) < _FIRST_WITHOUT_GLYPH for letter in value) else "see the header"
        yield f"{name}: {told or 'not stated'}"
    yield f"Analysed: {provenance.when:%Y-%m-%d %H:%M}"


def _pdf(lines: Sequence[str]) -> bytes:
    """Text pages; the same lines make the same bytes."""
    from matplotlib.backends.backend_pdf import PdfPages  # noqa: PLC0415  # half a second, for a page that is off by default
    from matplotlib.figure import Figure  # noqa: PLC0415

    wrapped = [part for line in lines for part in (textwrap.wrap(line, _CHARACTERS, subsequent_indent=_INDENT) or [""])]
    file = io.BytesIO()
    with PdfPages(file, metadata={"CreationDate": None, "Title": "AI findings - Research"}) as pages:
        for start in range(0, len(wrapped), _LINES):
            figure = Figure(figsize=_PAGE)
            for number, line in enumerate(wrapped[start : start + _LINES]):
                figure.text(
                    _LEFT, _TOP - number * _LINE_HEIGHT, line, fontsize=9, family="DejaVu Sans", parse_math=False
                )
            pages.savefig(figure)
    return file.getvalue()
