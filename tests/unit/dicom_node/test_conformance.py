"""The Conformance Statement: what stands in it is what the code does, and the shipped one is up to date."""

import re
import types
from functools import cache
from pathlib import Path

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.sr.coding import Code

from dicom_node.admission import REJECTIONS
from dicom_node.answers import STATUS_RANGES, Answer
from dicom_node.conformance.content import content_tree, declared_templates, used_templates
from dicom_node.conformance.network import REACTIONS
from dicom_node.conformance.objects import created_iods, observe
from dicom_node.conformance.rendering import render
from dicom_node.conformance.specimens import INFLUENCES, Specimen, make
from dicom_node.conformance.statement import statement_of
from dicom_node.domain.commitment import FailureReason
from dicom_node.domain.errors import ReceiveError
from dicom_node.settings import SHIPPED_CONFIG, Settings, load_settings
from sr_writer import codes
from sr_writer.created import CREATED_KINDS, ROOT_TEMPLATE, TEMPLATES
from sr_writer.encode import encode
from sr_writer.inheritance import OPTIONAL, REQUIRED
from sr_writer.profiles import PROFILES
from tests.builders.analyses import EQUIPMENT, WHEN, analysis_of, classified, detected, headers_of, lesion, segmented
from tests.builders.datasets import colour_ultrasound, ct_series, enhanced_mr, mr_series, radiograph

REPOSITORY = Path(__file__).parents[3]
DOCUMENT = REPOSITORY / "docs" / "conformance.md"
REGENERATE = "dicom-node conformance --config config/node.yaml --out docs/conformance.md"
SHAPE = (6, 32, 24)
MASK = lesion(SHAPE, start=(2, 8, 6), size=(3, 6, 7))


@cache
def iods():
    """What the node creates, by SOP class."""
    return {iod.kind.sop_class_uid: iod for iod in created_iods(observe())}


@cache
def shipped():
    """The statement of the shipped configuration."""
    return render(statement_of(load_settings(SHIPPED_CONFIG, {})))


def written(tmp_path, *changes, environment=()):
    """The statement of the shipped configuration with some text of it replaced."""
    text = SHIPPED_CONFIG.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    config = tmp_path / "node.yaml"
    config.write_text(text, encoding="utf-8")
    return render(statement_of(load_settings(config, dict(environment))))


def section(text, heading):
    """What stands below a heading, up to the next one of its level or above."""
    level = re.search(rf"^(#+) {re.escape(heading)}", text, re.MULTILINE)[1]
    return re.split(rf"^#{{1,{len(level)}}} ", text.split(f"{level} {heading}", 1)[1], flags=re.MULTILINE)[0]


def attributes(iod):
    """Its attributes at the top, by tag."""
    return {each.tag: each for module in iod.modules for each in module.attributes if each.depth == 0}


def tag_of(keyword):
    """As a table writes it."""
    tag = tag_for_keyword(keyword)
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def test_the_document_is_that_of_the_shipped_configuration():
    """Who changes what the node does on the network or writes into results, changes the statement."""
    assert DOCUMENT.read_text(encoding="utf-8") == shipped(), f"docs/conformance.md is out of date; run: {REGENERATE}"


def test_the_document_depends_on_nothing_but_the_configuration(tmp_path):
    """The same from another folder and at another time; no path of this machine."""
    assert written(tmp_path) == shipped()
    assert str(REPOSITORY) not in shipped()
    assert str(tmp_path) not in written(tmp_path)
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", shipped())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([("ae_title: AINODE ", "ae_title: OTHER_NODE ")], "AE title `OTHER_NODE`"),
        ([("port: 11112 ", "port: 11113 ")], "| 11113 | DICOM, inbound |"),
        ([("host: 127.0.0.1             # address to listen on; 0", "host: 0.0.0.0  # 0")], "listens on 0.0.0.0"),
        ([("maximum_associations: 32", "maximum_associations: 7")], "| Associations accepted at a time | 7 |"),
        ([("to: [PACS]", "to: []")], "| PACS | PACS | 127.0.0.1 | 4242 | Y | N |"),
        ([("port: 4242", "port: 4243")], "| PACS | PACS | 127.0.0.1 | 4243 | Y | Y |"),
        ([("ae_title: PACS ", "ae_title: ARCHIVE ")], "| PACS | ARCHIVE | 127.0.0.1 | 4242 | Y | Y |"),
        ([("quiet_seconds: 5 ", "quiet_seconds: 90 ")], "complete 90 s after"),
        (
            [("secondary_capture: ignore", "secondary_capture: analyse")],
            "| Secondary Capture Image Storage | 1.2.840.10008.5.1.4.1.1.7 | SCP |\n",
        ),
        ([("  stow: null", "  stow: {from: {PACS: {token_file: t}}}")], "*As origin server.* On in this configuration"),
        (
            [("peers:      ", "peers:\n  WEB: {dicomweb: 'https://x.example'}\n  # "), ("to: [PACS]  ", "to: [WEB]  ")],
            "| WEB | gets results | https://x.example | none |",
        ),
        ([("threads: null", "threads: 3")], "or null for the worker's share | none | 3 |"),
    ],
)  # fmt: skip
def test_a_setting_changes_the_text(tmp_path, changes, told):
    """The running configuration is what is stated."""
    assert told not in shipped()
    assert told in written(tmp_path, *changes)


def test_another_peer_stands_in_the_allow_list(tmp_path):
    """One that may send, and one that only gets results."""
    text = written(
        tmp_path,
        ("peers:                        #", "peers:\n  MR1: {ae_title: MR_ONE, host: 192.0.2.31, port: 104}  #"),
        ("from: [PACS]", "from: [MR1]"),
    )
    assert "| MR1 | MR_ONE | 192.0.2.31 | 104 | Y | N |" in section(text, "6.2 DIMSE parameters")
    assert "| PACS | PACS | 127.0.0.1 | 4242 | N | Y |" in section(text, "6.2 DIMSE parameters")


def test_another_cascade_is_stated(tmp_path):
    """Its stages are what is asked."""
    cascade = tmp_path / "cascade.yaml"
    cascade.write_text("stages: [{name: sorter, task: classification, package: own, question: kind, shadow: true}]")
    text = written(tmp_path, environment={"DICOM_NODE_MODELS__CASCADE": str(cascade)}.items())
    assert "| sorter | classification | own | always | N (shadow) |" in text


def test_every_key_of_the_configuration_is_listed():
    """Of every section."""
    listed = section(shipped(), "6.1 General parameters")
    for name, field in Settings.model_fields.items():
        if name == "peers":
            continue
        if isinstance(field.annotation, types.UnionType):  # a section that is left out as a whole
            assert f"| `{name}` |" in listed
            continue
        for key, inner in field.annotation.model_fields.items():
            within = getattr(inner.annotation, "model_fields", None)
            keys = [f"{key}.{deeper}" for deeper in within] if within else [inner.validation_alias or key]
            assert [each for each in keys if f"| `{name}.{each}` |" not in listed] == []


def every_failure(of=ReceiveError):
    """The class and all below it."""
    return {of} | {each for child in of.__subclasses__() for each in every_failure(child)}


def test_every_status_of_the_scp_is_stated():
    """Success and each failure, with a sentence of when."""
    answered = section(shipped(), "7.3.1 Storage SCP")
    assert len(every_failure()) > 3
    for status in {0x0000, *(failure.status for failure in every_failure())}:
        assert re.search(rf"^\| {status:04X} \| [^|]+ \| [^|]+ \|$", answered, re.MULTILINE), f"0x{status:04X}"


def test_every_status_of_the_scu_has_its_reaction():
    """As the table says that the outbox follows."""
    understood = section(shipped(), "7.3.2 Storage SCU")
    assert set(REACTIONS) == set(Answer)
    for each in STATUS_RANGES:
        assert re.search(rf"^\| {each.first:04X}\b.* \| {re.escape(REACTIONS[each.answer])} \|$", understood, re.M)
    assert "| any other | Failure |" in understood


def test_both_roles_of_storage_commitment_are_stated():
    """With what a commitment is worth here, and every reason not to give one."""
    accepted, failures = section(shipped(), "7.2.4 Acceptance"), section(shipped(), "7.3.4 Storage Commitment")
    assert re.search(
        r"^\| Storage Commitment[^|]+\| 1\.2\.840\.10008\.1\.20\.1 \| [^|]+ \| SCU/SCP \|$", accepted, re.M
    )
    for reason in FailureReason:
        assert re.search(rf"^\| {reason:04X} \| [^|]+ \|$", failures, re.M)
    assert "without a limit of time or space" in section(shipped(), "5.2.6 Storage Commitment")


def test_the_duration_of_a_commitment_is_that_of_retention(tmp_path):
    """As configured."""
    limited = written(tmp_path, ("days: null", "days: 31"), ("maximum_gb: null", "maximum_gb: 500"))
    told = section(limited, "5.2.6 Storage Commitment")
    assert "set: 31 days after" in told
    assert "earlier when all studies together take more than 500 GB" in told


def test_every_rejection_is_stated():
    """With the numbers of PS3.8."""
    accepted = section(shipped(), "7.2.4 Acceptance")
    for each in REJECTIONS:
        assert f"| {each.result} | {each.source} | {each.diagnostic} | {each.name} |" in accepted


@pytest.mark.parametrize("specimen", [Specimen(), Specimen(bare=True), *INFLUENCES.values()])
def test_specimens_show_every_kind_that_is_created(specimen):
    """A kind without an object would have no attributes to tell."""
    _, objects = make(specimen)
    assert {(uid, made.Modality) for uid, made in objects.items()} == {
        (kind.sop_class_uid, kind.modality) for kind in CREATED_KINDS
    }


@pytest.mark.parametrize(
    ("images", "runs"),
    [
        (mr_series(SHAPE), (classified("MRI region", "brain"), segmented(MASK))),
        (ct_series(SHAPE), (segmented(),)),
        ([enhanced_mr(SHAPE)], (segmented(MASK),)),
        ([radiograph()], (detected((1, 1, 5, 5)),)),
        ([colour_ultrasound()], (detected((1, 1, 5, 5)),)),
    ],
)
def test_nothing_else_is_created(images, runs):
    """Whatever the images: the table of kinds has all there are, in the order in which they are sent."""
    made = encode(analysis_of(images, *runs), headers_of(*images), EQUIPMENT, WHEN, PROFILES["everything"])
    order = [kind.sop_class_uid for kind in CREATED_KINDS]
    places = [order.index(str(each.SOPClassUID)) for each in made]
    assert places == sorted(places)


@pytest.mark.parametrize("sop_class_uid", [kind.sop_class_uid for kind in CREATED_KINDS], ids=lambda each: each.name)
def test_what_results_take_over_is_told_as_copied(sop_class_uid):
    """Every attribute of both tables, required ones empty where the images have none."""
    told = attributes(iods()[sop_class_uid])
    for keywords, presence in ((REQUIRED, "VNAP"), (OPTIONAL, "ANAP")):
        for keyword in keywords:
            attribute = told[tag_of(keyword)]
            assert (attribute.presence, attribute.source) == (presence, "COPY"), keyword


@pytest.mark.parametrize("sop_class_uid", [kind.sop_class_uid for kind in CREATED_KINDS], ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("keyword", "presence", "source"),
    [
        ("StudyInstanceUID", "ALWAYS", "COPY"),
        ("StationName", "ALWAYS", "CONFIG: node.ae_title"),
        ("InstanceCreationDate", "ALWAYS", "AUTO: start of the analysis"),
        ("SpecificCharacterSet", "ALWAYS", "FIXED: ISO_IR 192"),
        ("ContentQualification", "ALWAYS", "FIXED: RESEARCH"),
        ("TimezoneOffsetFromUTC", "ANAP", "COPY"),
    ],
)
def test_sources_are_found_by_experiment(sop_class_uid, keyword, presence, source):
    """One of each kind of source."""
    attribute = attributes(iods()[sop_class_uid])[tag_of(keyword)]
    assert (attribute.presence, attribute.source) == (presence, source)


@pytest.mark.parametrize("sop_class_uid", [kind.sop_class_uid for kind in CREATED_KINDS], ids=lambda each: each.name)
def test_mandatory_modules_are_whole(sop_class_uid):
    """Type 1 is always there with a value, type 2 is always there (PS3.5 7.4)."""
    for module in (each for each in iods()[sop_class_uid].modules if each.usage == "M"):
        for attribute in (each for each in module.attributes if each.depth == 0):
            if attribute.type == "1":
                assert attribute.presence == "ALWAYS", attribute
            if attribute.type == "2":
                assert attribute.presence != "ANAP", attribute


def test_every_code_is_listed():
    """Of every table of codes, private ones among them."""
    listed = section(shipped(), "A.E Codes")
    known = [value for value in vars(codes).values() if isinstance(value, Code)]
    known += [region.concept for region in codes.REGIONS.values()]
    for table in (codes.MODALITIES, codes.PLANES, codes.ACQUISITION_MODALITIES, codes.PROCEDURES):
        known += table.values()
    for code in known:
        assert f"| {code.scheme_designator} | {code.value} | {code.meaning} |" in listed
    assert len(set(known)) > 70


def test_templates_are_those_of_the_report():
    """Each begins with a concept that the report has; those that it names are in the table."""
    document = make(Specimen())[1][next(kind.sop_class_uid for kind in CREATED_KINDS if kind.modality == "SR")]
    assert used_templates(document) == TEMPLATES
    assert ROOT_TEMPLATE in declared_templates(document) <= {template.number for template in TEMPLATES}


def test_the_content_tree_has_every_item_once():
    """Depths grow by one at most, and no kind of item stands twice below the same item."""
    document = make(Specimen())[1][next(kind.sop_class_uid for kind in CREATED_KINDS if kind.modality == "SR")]
    tree = content_tree(document)
    path, seen = [], set()
    for item in tree:
        assert item.depth <= len(path)
        path = [*path[: item.depth], (item.relationship, item.value_type, item.concept)]
        assert tuple(path) not in seen
        seen.add(tuple(path))
    assert all(name in {item.concept for item in tree} for name in ('(score, 99DICOMAINODE, "Score")',))


def test_no_table_is_broken():
    """Every row has as many cells as its header."""
    width = None
    for line in shipped().splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert cells is None or width is None or cells == width, line
        width = cells
