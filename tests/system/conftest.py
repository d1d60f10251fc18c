"""One archive and one node for the whole folder: loading the models takes longer than analysing a study."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicom_node.archive import Archive
from dicom_node.domain.delivery import Destination
from tests.builders.command import ServedNode, eventually, serving, write_config
from tests.builders.dcmtk import dcmtk
from tests.builders.network import HOST, free_port


@dataclass(frozen=True)
class Line:
    """A PACS and a node that answers into it."""

    pacs: Archive
    node: ServedNode

    def send(self, paths: Sequence[Path], *options: str) -> None:
        """From the PACS to the node by DCMTK's storescu, whose options choose other transfer syntaxes."""
        entities = ("-R", "-aet", "PACS", "-aec", "AINODE")  # -R: only the SOP classes of these files
        sent = dcmtk("storescu", *options, *entities, HOST, self.node.port, *paths)
        assert sent.returncode == 0, sent.stderr

    def answer(self, study_uid: str, state: str = "done") -> list[Path]:
        """Wait until the study has come to that end; what the PACS has of it."""
        assert eventually(lambda: self.node.study(study_uid).get("state") == state), self.node.study(study_uid)
        return list(self.pacs.instances(study_uid))


@pytest.fixture(scope="session")
def line(tmp_path_factory) -> Iterator[Line]:
    """The PACS has no routing rule: tests send what they want, as the PACS, and see what comes back."""
    folder = tmp_path_factory.mktemp("line")
    port = free_port()
    pacs = Archive("PACS", HOST, port, folder / "pacs")
    pacs.start()
    config, node_port = write_config(folder / "node", port)
    try:
        with serving(config, node_port) as node:
            yield Line(pacs, node)
    finally:
        pacs.stop()


@pytest.fixture
def destination(line) -> Destination:
    """The node as a peer."""
    return Destination("node", "AINODE", HOST, line.node.port)
