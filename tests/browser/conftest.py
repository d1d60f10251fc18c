"""One archive, one site and one browser for the folder; each is skipped where it is not installed."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.ohif_site import serving_ohif
from tests.browser.viewer import PATIENCE_MS
from tests.builders.orthanc import Orthanc, running_orthanc

REPOSITORY = Path(__file__).parents[2]
#: The folder that has OHIF's dist/.
OHIF = Path(os.environ.get("DICOM_NODE_OHIF", REPOSITORY / ".cache" / "ohif"))
#: Where screenshots are left.
SHOTS = Path(os.environ.get("DICOM_NODE_SCREENSHOTS", REPOSITORY / "out" / "browser"))
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
#: WebGL without a graphics card, and no name of any other host.
CHROMIUM_OPTIONS = (
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


@dataclass(frozen=True)
class Site:
    """OHIF over an archive."""

    origin: str
    archive: Orthanc


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Iterator[Site]:
    """An empty archive, and OHIF that shows what is put into it."""
    if not (OHIF / "dist" / "index.html").is_file():
        pytest.skip(f"OHIF is not in {OHIF}: unpack the npm package @ohif/app there, or set DICOM_NODE_OHIF")
    if not DICOMWEB.exists():
        pytest.skip("Orthanc's DICOMweb plugin is not installed (apt-get install orthanc-dicomweb)")
    with (
        running_orthanc(tmp_path_factory.mktemp("browser") / "orthanc", plugins=[DICOMWEB]) as archive,
        serving_ohif(OHIF / "dist", archive.http_port) as origin,
    ):
        yield Site(origin, archive)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    expect.set_options(timeout=PATIENCE_MS)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_OPTIONS)) as launched,
    ):
        yield launched


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where pictures of the viewer go."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS
