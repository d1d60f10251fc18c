"""From bytes to a recorded instance."""

import io
import zlib
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicom_node.domain.errors import CannotUnderstand, DatasetMismatch, OutOfResources, StoreError
from dicom_node.domain.study import InstanceKind, Maker
from dicom_node.domain.urgency import Urgency
from dicom_node.file_meta import file_meta_of
from dicom_node.identification import Arrival, identify, identity_of
from dicom_node.receiving import Receiver
from dicom_node.spool import Spool
from dicom_node.store import Receipt
from dicom_node.study_folders import StudyFolders
from dicom_node.urgency import UrgencyRules
from tests.builders.network import MemoryRegister, image_series

MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT, IMPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)


#: A sequence of undefined length and its first item, which holds the next.
_LEVEL = b"\x08\x00\x06\x00SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"


def minimal(**attributes):
    """A data set of little more than its UIDs."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MR, "1.2.3.4.5"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def in_syntax(dataset, syntax):
    """The data set, encoded."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(buffer, dataset)
    content = buffer.getvalue()
    if syntax == DEFLATED:
        squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = squeeze.compress(content) + squeeze.flush()
    return content


def in_syntax_with(element):
    """The minimal data set in explicit little endian, with an encoded element between its SOP and its study UIDs."""
    whole = in_syntax(minimal(), EXPLICIT)
    place = whole.index(b"\x20\x00\x0d\x00")
    return whole[:place] + element + whole[place:]


def arrival(content, syntax=EXPLICIT):
    """A request for the minimal data set that brings `content`."""
    return Arrival(content, MR, "1.2.3.4.5", syntax, "MODALITY")


def receiver(tmp_path, register):
    """A receiver that takes everything for an image."""
    return Receiver(Spool(tmp_path, minimum_free_bytes=0), register, lambda *_: InstanceKind.IMAGE)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_identifiers_are_found_in_every_encoding(syntax):
    """Explicit, implicit, big endian and deflated data sets tell where they belong."""
    dataset = minimal(PatientID="x", SpecificCharacterSet="ISO_IR 192", StudyDescription="long " * 9)
    address = identify(arrival(in_syntax(dataset, syntax), syntax))
    assert (address.study_instance_uid, address.series_instance_uid) == ("1.2.3", "1.2.3.4")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_the_maker_is_read_where_it_is_told(syntax):
    """Manufacturer and model, without their padding, in any character set; empty where an object says nothing."""
    dataset = minimal(Manufacturer="Maker", ManufacturerModelName="Model", DeviceSerialNumber="1")
    assert identity_of(arrival(in_syntax(dataset, syntax), syntax)).maker == Maker("Maker", "Model")
    assert identity_of(arrival(in_syntax(minimal(), syntax), syntax)).maker == Maker()
    strange = minimal(SpecificCharacterSet="ISO_IR 192", Manufacturer="Hersteller für")
    assert identity_of(arrival(in_syntax(strange, syntax), syntax)).maker.manufacturer.startswith("Hersteller f")


def test_what_an_object_is_follows_from_uids_and_maker(tmp_path):
    """The receiver asks with SOP class, instance and maker, and records the answer."""
    asked = []

    def classify(*marks):
        asked.append(marks)
        return InstanceKind.OWN_RESULT

    under_test = Receiver(Spool(tmp_path, minimum_free_bytes=0), MemoryRegister(), classify)
    content = in_syntax(minimal(Manufacturer="Maker", ManufacturerModelName="Model"), EXPLICIT)
    assert under_test.receive(arrival(content), now=1.0).instance.kind is InstanceKind.OWN_RESULT
    assert asked == [(MR, "1.2.3.4.5", Maker("Maker", "Model"))]


@pytest.mark.filterwarnings("ignore:Unknown encoding:UserWarning")  # pydicom's, and all it does
def test_an_unknown_character_set_is_no_obstacle():
    """Text is not decoded to find UIDs."""
    content = in_syntax(minimal(), EXPLICIT)
    strange = b"\x08\x00\x05\x00CS\x06\x00NO_SET" + content
    assert identify(arrival(strange)).study_instance_uid == "1.2.3"


def test_pixels_are_not_needed_to_identify():
    """A data set may even end inside its pixel data; the reader will say so, with its reason."""
    instance = image_series()[0]
    cut = Arrival(in_syntax(instance, EXPLICIT)[:-100], MR, instance.SOPInstanceUID, EXPLICIT, "MODALITY")
    assert identify(cut).study_instance_uid == instance.StudyInstanceUID


@pytest.mark.parametrize("padding", [b"\0", b" "])
def test_padding_is_no_part_of_a_uid(padding):
    """PS3.5 6.2 pads with NUL; senders that pad with a space are understood."""
    content = in_syntax(minimal(), EXPLICIT).replace(b"1.2.3\0", b"1.2.3" + padding)
    assert identify(arrival(content)).study_instance_uid == "1.2.3"


@pytest.mark.parametrize(
    ("content", "syntax"),
    [
        (b"", EXPLICIT),
        (b"this is no data set at all, whatever the request may say", EXPLICIT),
        (b"\xff" * 500, IMPLICIT),
        (in_syntax(minimal(), EXPLICIT)[:-2], EXPLICIT),
        (b"not deflated", DEFLATED),
        (_LEVEL * 5000, EXPLICIT),
    ],
    ids=["empty", "text", "noise", "cut in a UID", "not deflated", "deep"],
)
def test_what_is_no_data_set_cannot_be_understood(content, syntax):
    """Whatever the bytes are, the sender gets 0xC000."""
    with pytest.raises(CannotUnderstand):
        identify(arrival(content, syntax))


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("change", ["missing", "empty", "no UID"])
def test_each_identifier_is_needed(keyword, change):
    """A data set without one of its UIDs, or with one that is none, is refused and nothing is filed."""
    dataset = minimal()
    if change == "missing":
        del dataset[keyword]
    else:
        dataset[keyword]._value = "" if change == "empty" else "..%2f"
    with pytest.raises((CannotUnderstand, DatasetMismatch)):
        identify(arrival(in_syntax(dataset, EXPLICIT)))


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_a_data_set_must_be_what_the_request_says(keyword):
    """Another SOP class or instance than requested is a mismatch (0xA900), which names the attribute."""
    with pytest.raises(DatasetMismatch, match=keyword):
        identify(arrival(in_syntax(minimal(**{keyword: "1.2.9"}), EXPLICIT)))


def test_what_is_recorded_is_on_disk(tmp_path):
    """The record tells the file, its kind and its digest."""
    register = MemoryRegister()
    content = in_syntax(minimal(), EXPLICIT)
    recorded = receiver(tmp_path, register).receive(arrival(content), now=1.0)
    assert recorded.receipt is Receipt.NEW
    assert register.instances["1.2.3.4.5"] == recorded.instance
    assert recorded.instance.path.read_bytes().endswith(content)
    assert dcmread(io.BytesIO(recorded.instance.path.read_bytes())).SOPInstanceUID == "1.2.3.4.5"
    assert register.callers == ["MODALITY"]


def test_a_conflict_with_another_study_is_set_aside(tmp_path):
    """The same SOP Instance UID in another study is kept, but not among the studies."""
    register = MemoryRegister()
    under_test = receiver(tmp_path, register)
    under_test.receive(arrival(in_syntax(minimal(), EXPLICIT)), now=1.0)
    recorded = under_test.receive(arrival(in_syntax(minimal(StudyInstanceUID="1.9"), EXPLICIT)), now=2.0)
    assert recorded.receipt is Receipt.CONFLICT
    assert recorded.instance.path.parent == tmp_path / "conflicts/1.9"
    assert len(list((tmp_path / "spool").rglob("*.dcm"))) == 1


def test_without_a_record_there_is_no_success(tmp_path):
    """A database that refuses makes the sender try again later."""

    class Broken(MemoryRegister):
        def record_instance(self, instance, *, calling_ae, now):
            raise StoreError("the database is locked")

    with pytest.raises(OutOfResources, match="cannot be recorded"):
        receiver(tmp_path, Broken()).receive(arrival(in_syntax(minimal(), EXPLICIT)), now=1.0)


def test_a_study_removed_between_file_and_row_keeps_what_arrives(tmp_path):
    """The file was found there, then the study was forgotten, then the row was written: the file is written again."""

    class Removing(MemoryRegister):
        """Removes the study just before the row is written."""

        def record_instance(self, instance, *, calling_ae, now):
            """As the store, after `dicom-node forget`."""
            StudyFolders(tmp_path).discard("1.2.3")
            return super().record_instance(instance, calling_ae=calling_ae, now=now)

    content = in_syntax(minimal(), EXPLICIT)
    Spool(tmp_path, minimum_free_bytes=0).keep(
        identify(arrival(content)), content, file_meta_of(MR, "1.2.3.4.5", EXPLICIT)
    )
    recorded = receiver(tmp_path, Removing()).receive(arrival(content), now=1.0)
    assert recorded.receipt is Receipt.NEW
    assert dcmread(recorded.instance.path).SOPInstanceUID == "1.2.3.4.5"


RULES = UrgencyRules({"ER": Urgency.URGENT}, frozenset({"CT"}))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize(
    ("header", "changes", "urgency"),
    [
        ({}, {}, Urgency.ROUTINE),
        ({}, {"priority": 1}, Urgency.URGENT),
        ({}, {"priority": 2}, Urgency.LOW),
        ({}, {"priority": 2, "calling_ae_title": "ER"}, Urgency.URGENT),
        ({"Modality": "CT"}, {}, Urgency.URGENT),
        ({"Modality": "MR"}, {}, Urgency.ROUTINE),
        ({"RequestedProcedurePriority": "STAT"}, {}, Urgency.URGENT),
    ],
)
def test_an_image_is_recorded_with_its_urgency(tmp_path, syntax, header, changes, urgency):
    """By request, sender and header, in every encoding."""
    register = MemoryRegister()
    spool = Spool(tmp_path, minimum_free_bytes=0)
    images = Receiver(spool, register, lambda *_: InstanceKind.IMAGE, RULES)
    content = in_syntax(minimal(BodyPartExamined="BRAIN", Rows=8, **header), syntax)
    images.receive(replace(arrival(content, syntax), **changes), now=1.0)
    [instance] = register.instances.values()
    assert instance.urgency is urgency


@pytest.mark.parametrize(
    "behind",
    [
        b"\x28\x00\x10\x00US\x02",  # ends in the middle of a length
        b"\x28\x00\x10\x00OB\0\0\x02",  # the same of a long one, over which the parser raises
        b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000,
        b"\x40\x00\x03\x10SH\x04\0\xff\xfe\xfd\xfc",
        b"\x40\x00\x03\x10SH\x40\0STAT",
        b"\x40\x00\x03\x10\xff\xff",
    ],
    ids=["cut off", "cut off later", "nested", "no text", "too short", "no VR"],
)
def test_nothing_behind_the_identifiers_makes_an_object_be_refused(tmp_path, behind):
    """It is kept as it came; the reader will say what is wrong with it. A sequence there is not even looked into."""
    register = MemoryRegister()
    receiver(tmp_path, register).receive(arrival(in_syntax(minimal(), EXPLICIT) + behind), now=1.0)
    assert len(register.instances) == 1


@pytest.mark.parametrize("modality", [b"\xc4\xd6", b"", b"CT"])
def test_a_modality_that_is_no_code_is_none(tmp_path, modality):
    """It makes nothing urgent, and nothing be refused."""
    register = MemoryRegister()
    element = b"\x08\x00\x60\x00CS" + len(modality).to_bytes(2, "little") + modality
    receiver(tmp_path, register).receive(arrival(in_syntax_with(element)), now=1.0)
    assert [each.urgency for each in register.instances.values()] == [Urgency.ROUTINE]


def test_identifiers_behind_the_last_of_them_do_not_count(tmp_path):
    """Whatever stands there out of its order, an object is filed under what stands in its place."""
    register = MemoryRegister()
    strangers = minimal(SOPInstanceUID="6.6.6", StudyInstanceUID="6.6", SeriesInstanceUID="6.7")
    content = in_syntax(minimal(Rows=8), EXPLICIT) + in_syntax(strangers, EXPLICIT)
    receiver(tmp_path, register).receive(arrival(content), now=1.0)
    [instance] = register.instances.values()
    assert (instance.study_instance_uid, instance.series_instance_uid) == ("1.2.3", "1.2.3.4")
