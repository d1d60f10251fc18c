"""What validators print, made into messages for people: the rule that is broken, whether it matters, and why.

Tools quote values of the file, and those may be a patient's. So a message is put together from what is known to be a
rule: names of attributes, numbers of templates, the beginning of a phrase up to where a value could stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sr_writer.codes import PRIVATE_SCHEME

_LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"  # Sup 243; younger than pydicom's names, too


class Weight(StrEnum):
    """How much a message matters."""

    ERROR = "error"
    WARNING = "warning"
    #: A correct object makes the tool say so.
    QUIRK = "known quirk"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that a tool or a check of ours says."""

    tool: str
    weight: Weight
    rule: str
    explanation: str


@dataclass(frozen=True, slots=True)
class _Quirk:
    tools: tuple[str, ...]
    #: Found in what the tool printed, before values are taken out.
    pattern: str
    explanation: str
    #: Only for this kind of object; empty for all.
    sop_class_uid: str = ""


_DCMTK = ("dsrdump", "segimage2itkimage", "tid1500reader")
_QUIRKS: tuple[_Quirk, ...] = (
    _Quirk(
        ("dciodvfy",),
        r"/ContributingEquipmentSequence.*/DeviceUID\(0018,1002\).*not present in standard",
        "ignored: the tool is older than this attribute of C.12.1, which IHE AIR asks for",
    ),
    _Quirk(
        ("dciodvfy",),
        rf"CodingSchemeDesignator.*Unrecognized defined term = <{PRIVATE_SCHEME}>",
        "ignored: it is the node's own coding scheme, private and declared",
    ),
    _Quirk(
        ("dciodvfy",),
        r"/(ImageType|FrameType)\(.*Unrecognized defined term = <QUANTITY>",
        "ignored: QUANTITY is what a parametric map says, and the tool does not know it yet",
    ),
    _Quirk(
        ("dciodvfy",),
        r"needed to build DICOMDIR",
        "ignored: the images leave it empty, it may be empty, and nobody builds a DICOMDIR here",
    ),
    _Quirk(
        ("dciodvfy",),
        r"Information Object Not found|SegmentNumber.*monotonic",
        "ignored: the tool is older than label map segmentations",
        _LABEL_MAP_SEGMENTATION,
    ),
    _Quirk(
        _DCMTK,
        r"VR checker does not support this Specific Character Set: ISO_IR 192",
        "ignored: the tool does not check texts in UTF-8",
    ),
    _Quirk(
        ("dcmpschk",),
        r"Type DT.*\[[0-9]{8,14}(\.[0-9]{1,6})?[+-][0-9]{4}\]",
        "ignored: a time with its offset from UTC is right (PS3.5 6.2), and the tool's own pattern allows it",
    ),
    _Quirk(
        ("dcmpschk",),
        r"patientName absent or empty",
        "ignored: the images leave it empty, and it may be empty (Type 2)",
    ),
    _Quirk(
        ("DicomSRValidator",),
        r"^Error: Template 1004 .*Incorrect content item value multiplicity",
        "ignored: one observer per algorithm is allowed (TID 1001), and the tool takes all for one",
    ),
    _Quirk(
        ("DicomSRValidator",),
        r"^Error: Template 1410 .*/\[Row [578]\] .*([Mm]issing c|C)onditional content item",
        "ignored: the tool tries TID 1410 on groups of TID 1411; planar-region and volumetric-region look at both",
    ),
    _Quirk(
        ("DicomSRValidator",),
        r"Procedure reported.*context group 100\b",
        "ignored: context group 100 is a baseline, other codes are allowed, and the tool's list is of 2022",
    ),
    _Quirk(
        ("DicomSRValidator",),
        r"\(121233,DCM,\"Source Image for Segmentation\"\) has different code meaning",
        "ignored: upper and lower case do not change what a code means",
    ),
    _Quirk(
        ("DicomSRValidator",),
        r"Measurement Group\"\)/\w+ \((111000|111001|111002|111003|122405),DCM,[^/]*Content Item not in template",
        "ignored: the template may be extended, and the algorithm belongs to what it found",
    ),
    _Quirk(
        ("DicomSRValidator",),
        r"Qualitative Evaluations\"\)/.*Content Item not in template",
        "ignored: the template may be extended, and stage, score and reason belong to the answer",
    ),
)

#: (pattern on the rule, what it means), the first that fits.
_MEANINGS: tuple[tuple[str, str], ...] = (
    ("Missing attribute", "the attribute is required here, and it is missing"),
    ("Empty attribute|Missing value|empty", "the attribute must have a value here, and it has none"),
    ("absent", "the attribute is required here, and it is missing"),
    ("Unrecognized enumerated value", "the standard lists what this attribute may say, and it says something else"),
    ("Unrecognized defined term", "it says none of the words that the standard has for it; others are allowed"),
    (
        "invalid for this VR|Length|does not conform",
        "the value breaks the rules of its representation; where it was taken over, the images have the same fault",
    ),
    ("root for UID", "it is no UID that could be anybody's"),
    ("not present in standard|Unrecognized tag", "the tool knows no such attribute in this kind of object"),
    ("Content Item not in template", "the template has no such content item; it may be extended"),
    ("multiplicity", "the template wants another number of these content items"),
    ("Could not find|[Mm]issing", "something that is required here is missing"),
)
_UNKNOWN: Mapping[Weight, str] = {
    Weight.ERROR: "the tool holds the object against the standard here, and no known quirk explains it",
    Weight.WARNING: "the tool finds it unusual; the standard may allow it",
}

_ATTRIBUTE = r"[A-Za-z][A-Za-z0-9]* ?\([0-9a-fA-F]{4},[0-9a-fA-F]{4}\)"
#: Where a value might begin; what stands before it is the tool's own words.
_VALUE = re.compile(r"""[=<\["'(]|: """)
_DCIODVFY = re.compile(r"(?P<level>Error|Warning) - (?:<(?P<path>/[\w/,()\[\]]*)> - )?(?P<phrase>.*)")
_CONCEPT = re.compile(r"\(([^,()\"]+),(\w+),\"[^\"]*\"\)")
_PIXELMED = re.compile(r"(?P<level>Error|Warning): (?P<text>.*)")
_DCMTK_LINE = re.compile(r"(?P<level>[WEF]): (?P<text>.*)")


@dataclass(frozen=True, slots=True)
class _Found:
    weight: Weight
    rule: str
    #: As printed.
    raw: str


def messages_of(tool: str, lines: Sequence[str], exit_code: int | None, sop_class_uid: str) -> tuple[Message, ...]:
    """Each message once, as something to show. `exit_code` is None where the tool was stopped for taking too long."""
    if exit_code is None:
        return (Message(tool, Weight.WARNING, "no answer", "the tool did not end in time; nothing is known"),)
    told = [_message(tool, found, sop_class_uid) for found in _PARSERS[tool](lines, exit_code)]
    return tuple(dict.fromkeys(told))


def _message(tool: str, found: _Found, sop_class_uid: str) -> Message:
    for quirk in _QUIRKS:
        fits = tool in quirk.tools and quirk.sop_class_uid in ("", sop_class_uid)
        if fits and re.search(quirk.pattern, found.raw):
            return Message(tool, Weight.QUIRK, found.rule, quirk.explanation)
    meaning = next((text for pattern, text in _MEANINGS if re.search(pattern, found.rule)), _UNKNOWN[found.weight])
    return Message(tool, found.weight, found.rule, meaning)


def _phrase(text: str) -> str:
    """The words before the first place where a value could stand."""
    return _VALUE.split(text, maxsplit=1)[0].strip(" -.")


def _weight(level: str) -> Weight:
    return Weight.WARNING if level.startswith("W") else Weight.ERROR


def _dciodvfy(lines: Sequence[str], exit_code: int) -> Iterator[_Found]:
    told = False
    for line in lines:
        match = _DCIODVFY.match(line)
        if match is None:
            continue
        told = told or match["level"] == "Error"
        path = re.sub(r"\([0-9a-f]{4},[0-9a-f]{4}\)|\[[0-9]+\]", "", match["path"] or "").strip("/")
        module = re.search(r"Module=<(\w+)>", line)
        words = [part for part in (path, _phrase(match["phrase"])) if part]
        yield _Found(_weight(match["level"]), ": ".join(words) + (f" ({module[1]})" if module else ""), line)
    if exit_code and not told:
        yield _Found(Weight.ERROR, f"ended with code {exit_code}", "")


def _dcmtk(lines: Sequence[str], exit_code: int) -> Iterator[_Found]:
    """dsrdump, dcmqi: attributes are named with their tags, anything else is cut where a value could stand."""
    for line in lines:
        match = _DCMTK_LINE.match(line)
        if match is None:
            continue
        attribute = re.match(rf"({_ATTRIBUTE}) (\w+)(?: in (\w+))?", match["text"])
        if attribute:
            rule = f"{attribute[1]} {attribute[2]}" + (f" in {attribute[3]}" if attribute[3] else "")
        else:
            rule = _phrase(match["text"])
        # what it cannot make sense of but reads all the same is a warning; its exit code says whether it could read on
        yield _Found(Weight.ERROR if exit_code and match["level"] != "W" else Weight.WARNING, rule, line)
    if exit_code:
        yield _Found(Weight.ERROR, "cannot be read by this tool", "")


def _dcmpschk(lines: Sequence[str], _: int) -> Iterator[_Found]:
    """Blocks of "Error: WHAT", "Affected attribute: NAME" and its value; then sentences of the semantic check."""
    level, phrase, attribute, block, semantic = "", "", "", "", False
    for line in (*lines, "I: end"):
        text = line[3:].strip()
        if text.startswith("Error: ") or line.startswith("I:"):
            if phrase:
                yield _Found(_weight(level), f"{attribute}: {phrase}" if attribute else phrase, block)
            level, phrase, attribute, block = line[:1], _phrase(text.removeprefix("Error: ")), "", ""
            if line.startswith("I:"):
                phrase, semantic = "", semantic or text.startswith("Pass 3")
        elif phrase:
            block += f" {text}"
            named = re.match(rf"Affected attribute: ({_ATTRIBUTE})|(\([0-9a-f]{{4}},[0-9a-f]{{4}}\)) [A-Z]{{2}} ", text)
            attribute = (named[1] or named[2]) if named else attribute
        elif semantic and text and not text.startswith("Test ") and _DCMTK_LINE.match(line):
            yield _Found(_weight(line), _phrase(text), line)


def _pixelmed(lines: Sequence[str], _: int) -> Iterator[_Found]:
    for line in lines:
        match = _PIXELMED.match(line)
        if match:
            # "Template 1411 NAME/[Row 1] TYPE (CODE)/[Row 11] TYPE (CODE): ...", or "1.12: /TYPE (CODE)/TYPE (CODE): "
            *places, phrase = match["text"].split(": ")
            template = re.match(r"Template (\w+)", match["text"])
            place = places[0] if template and places else "".join(places)
            rows, concepts = re.findall(r"\[(Row \w+)\]", place), _CONCEPT.findall(place)
            words = [f"TID {template[1]}"] if template else []
            words += [*rows[-1:], *(f"({code}, {scheme})" for code, scheme in concepts[-1:])]
            yield _Found(_weight(match["level"]), " ".join((*words, _phrase(_CONCEPT.sub("", phrase)))), line)
    printed = "\n".join(lines)
    for wanted in ("Found Root Template TID_1500", "Root Template Validation Complete"):
        if wanted not in printed:
            yield _Found(Weight.ERROR, f"does not say {wanted}", "")


_PARSERS: Mapping[str, Callable[[Sequence[str], int], Iterator[_Found]]] = {
    "dciodvfy": _dciodvfy,
    "dsrdump": _dcmtk,
    "dcmpschk": _dcmpschk,
    "DicomSRValidator": _pixelmed,
    "segimage2itkimage": _dcmtk,
    "tid1500reader": _dcmtk,
}
