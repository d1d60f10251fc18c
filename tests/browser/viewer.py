"""One study open in OHIF, as a reader would use it: thumbnails, prompts, panels and arrows, and all that went wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Response, expect

#: A graphics card made of software on two busy cores: nothing takes so long unless it is broken.
PATIENCE_MS = 60_000
_SIZE = {"width": 1280, "height": 800}
#: OHIF asks newcomers to walk through its tools unless it remembers that they have.
_NO_TOUR = "localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))"
#: What React says, at the level of debugging, when a part of the page has crashed and is left blank.
_CRASH = "Error Boundary"


@dataclass
class Troubles:
    """Everything a page complained about; an honest viewer has none."""

    origin: str
    told: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Listen from now on."""
        page.on("pageerror", lambda error: self.told.append(f"page error: {error}"))
        page.on("requestfailed", lambda request: self.told.append(f"no answer: {request.url} ({request.failure})"))
        page.on("response", self._answered)
        page.on("console", self._said)

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.told.append(f"{response.status}: {response.url}")
        if not response.url.startswith((self.origin, "blob:", "data:")):
            self.told.append(f"asked elsewhere: {response.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" or _CRASH in message.text:
            self.told.append(f"console: {message.text}")


@dataclass(frozen=True)
class Viewer:
    """OHIF with one study; every picture taken lies in `shots` under the test's name."""

    page: Page
    troubles: Troubles
    shots: Path
    name: str

    def open_series(self, description: str) -> None:
        """Double-click its thumbnail."""
        label = self.page.locator("[data-cy=series-description-label]").get_by_text(description, exact=True)
        self.page.locator("[data-cy^=study-browser-thumbnail]").filter(has=label).dblclick()

    def answer_yes(self, question: str) -> None:
        """Confirm a prompt, and see it go."""
        expect(self.page.get_by_text(question)).to_be_visible()
        self.page.get_by_role("button", name="Yes", exact=True).click()
        expect(self.page.get_by_text(question)).to_be_hidden()

    def segments(self, count: int) -> list[str]:
        """Names in the segment list, once it has that many."""
        self.page.locator("[data-cy=panelSegmentation-btn]").click()
        rows = self.page.locator("[data-cy=data-row-title]")
        expect(rows).to_have_count(count)
        return rows.all_inner_texts()

    def reads(self, text: str) -> None:
        """Wait for the text in the viewport."""
        expect(self.page.locator("[data-cy=viewport-pane]")).to_contain_text(text)

    def annotation(self, tracking_uid: str) -> list[str]:
        """The lines of text at a measurement of the report, once it is in the viewport."""
        lines = self.page.locator(f"svg.svg-layer g[data-annotation-uid='{tracking_uid}'] tspan")
        expect(lines.first).to_be_visible()
        return lines.all_text_contents()

    def line_lengths(self) -> list[int]:
        """How many points each line has that is drawn over the image."""
        lines = self.page.locator("svg.svg-layer polyline").all()
        return [(line.get_attribute("points") or "").count(",") for line in lines]

    def next_measurement(self) -> None:
        """The arrow at the top of the viewport."""
        self.page.locator("[data-cy=viewport-action-arrows-right]").click()

    def coloured_pixels(self) -> int:
        """How many pixels of the drawn image are not grey; texts and frames over it do not count."""
        drawn = self.page.locator("canvas.cornerstone-canvas").first.evaluate("canvas => canvas.toDataURL()")
        picture = Image.open(io.BytesIO(base64.b64decode(drawn.partition(",")[2]))).convert("RGB")
        red, green, blue = np.moveaxis(np.asarray(picture, dtype=np.int16), -1, 0)
        return int((np.maximum(abs(red - green), abs(green - blue)) > 40).sum())

    def picture(self, step: str) -> None:
        """What a person would see now."""
        self.page.screenshot(path=self.shots / f"{self.name}-{step}.png")


@contextmanager
def viewing(browser: Browser, origin: str, study_uid: str, shots: Path, name: str) -> Iterator[Viewer]:
    """The study in a fresh profile; when the block ends without an exception, nothing may have gone wrong."""
    with browser.new_context(viewport=_SIZE, service_workers="block") as context:
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(_NO_TOUR)
        page = context.new_page()
        troubles = Troubles(origin)
        troubles.watch(page)
        viewer = Viewer(page, troubles, shots, name)
        try:
            page.goto(f"{origin}/viewer?StudyInstanceUIDs={study_uid}")
            expect(page.locator("[data-cy=viewport-pane] canvas").first).to_be_visible()
            yield viewer
            expect(page.locator("[data-sonner-toast]")).to_have_count(0)
        except (AssertionError, Error) as failure:
            failure.add_note(f"The page complained about: {troubles.told}")
            raise
        finally:
            viewer.picture("end")
        assert troubles.told == []
