"""Studies in a store, brought to where a test begins. Paths name no file."""

from pathlib import Path

from dicom_node.domain.delivery import Outgoing, ResultObject
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.domain.urgency import Urgency
from dicom_node.inquiries import Inquiries
from dicom_node.intake import Patience
from dicom_node.settling import settle_complete_studies

STUDY, OTHER = "1.2.1", "1.2.2"
LEASE_S = 60.0
ANALYSED = {"outcome": "complete", "summary": '{"found": 1}'}


def instance(number, study=STUDY, kind=InstanceKind.IMAGE, digest="a", urgency=Urgency.ROUTINE):
    """The instance of that number."""
    uid = f"{study}.3.{number}"
    return Instance(uid, "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1", f"{study}.3", study, kind,
                    Path(f"/spool/{uid}.dcm"), 100 + number, digest, urgency)  # fmt: skip


def result(modality, number=1):
    """A result object of that modality."""
    path = Path(f"/results/{modality}{number}.dcm")
    return ResultObject(path, modality, f"1.9.{modality}", f"2.25.{number}{modality}", f"2.26.{number}")


def going(results, peers):
    """Each of the results for each of the peers."""
    return [Outgoing(each, tuple(peers)) for each in results]


def receive(store, *numbers, study=STUDY, now=100.0, calling_ae="PACS", **changes):
    """Record images, one each second; the last receipt."""
    receipts = [
        store.record_instance(instance(number, study, **changes), calling_ae=calling_ae, now=now + index)
        for index, number in enumerate(numbers)
    ]
    return receipts[-1]


def claimed(store, worker="w1", study=STUDY, now=200.0):
    """A study that was received and settled, in the hands of a worker."""
    receive(store, 1, study=study)
    store.settle(study, reason="quiet", now=now - 1)
    return store.claim(worker, now=now, lease_s=LEASE_S)


def delivering(store, *modalities, peers=("PACS",), study=STUDY):
    """A job whose results are on their way."""
    job = claimed(store, study=study)
    results = [result(modality) for modality in modalities]
    assert store.finish(job.job_id, "w1", **ANALYSED, results=going(results, peers), now=210.0)
    return job


def settle_quiet_studies(store, quiet_seconds, now):
    """Settle what was quiet long enough, as where no association is open and no sender answers queries; how many."""
    nobody = Inquiries({}, lambda _peer, _study: 0, lambda: None)
    patience = Patience(quiet_seconds=quiet_seconds, at_most_seconds=300.0)
    return settle_complete_studies(store, nobody, lambda _activity: patience, lambda _study: 0, now).settled
