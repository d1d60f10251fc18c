"""A real PACS: Orthanc sends a study to the node and takes the results."""

import datetime
import json

from dicom_node.domain.delivery import Destination
from dicom_node.phantoms import phantom_studies
from tests.builders.command import eventually, serving, write_config
from tests.builders.datasets import encoded
from tests.builders.network import HOST, free_port
from tests.builders.orthanc import running_orthanc

WHEN = datetime.datetime(2026, 11, 20, 13, 0, tzinfo=datetime.UTC)


def test_orthanc_gets_its_results(tmp_path):
    """Images go in by REST, Orthanc sends them on by C-STORE, and has SEG, SR and GSPS of the study in the end."""
    study = next(study for study in phantom_studies(501, WHEN) if study.kind == "brain MR")
    pacs_port = free_port()
    config, port = write_config(tmp_path / "node", pacs_port)
    node = Destination("node", "AINODE", HOST, port)
    with (
        running_orthanc(tmp_path / "orthanc", [node], dicom_port=pacs_port) as orthanc,
        serving(config, port) as served,
    ):
        sent = [orthanc.post("/instances", encoded(instance))["ID"] for instance in study.instances]
        orthanc.post("/modalities/node/store", json.dumps(sent).encode())
        assert eventually(lambda: served.study(study.study_instance_uid).get("state") == "done")
        results = [each for each in orthanc.instances() if each["Modality"] != "MR"]
    assert {result["Modality"] for result in results} == {"OT", "PR", "SEG", "SR"}
    assert {result["StudyInstanceUID"] for result in results} == {study.study_instance_uid}
    assert {result["PatientID"] for result in results} == {study.instances[0].PatientID}
