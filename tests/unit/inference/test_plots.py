"""Pictures of an evaluation: small, and marked where the marks belong."""

import io

import numpy as np
from PIL import Image

from inference.evaluation import plots
from inference.findings import Region


def test_pictures_are_kept_small():
    """A data set of large radiographs fits into memory and into a page; colours stay."""
    assert plots.small(np.zeros((2000, 1000), np.float32)).size == (96, 192)
    assert plots.small(np.full((4, 8, 3), 7, np.float32)).size == (192, 96)


def test_outlines_survive_a_change_of_size():
    """Truth green and answer orange, whatever the size of the masks."""
    masks = np.zeros((2, 512, 512), np.bool_)
    masks[0, 100:200, 100:200] = masks[1, 300:400, 300:400] = True
    picture = plots.with_outlines(plots.small(np.zeros((512, 512), np.float32)), *masks, "caption")
    shown = np.array(Image.open(io.BytesIO(picture.content)))
    colours = {tuple(colour) for colour in shown.reshape(-1, 3).tolist()}
    assert colours == {(0, 0, 0), (0, 220, 120), (255, 140, 0)}
    assert tuple(shown[56, 56]) == (0, 0, 0)  # inside the truth there is the picture, not paint


def test_boxes_are_drawn_on_a_copy():
    """In parts of the picture, whatever its size; the same picture can be shown again."""
    picture = plots.small(np.zeros((400, 400), np.float32))
    drawn = plots.with_boxes(picture, np.array([[0.25, 0.25, 0.5, 0.5]]), [Region("", 0.9, 0, 0.5, 0.5, 1, 1)], "both")
    shown = np.array(Image.open(io.BytesIO(drawn.content)))
    assert tuple(shown[48, 60]) == (0, 220, 120)
    assert tuple(shown[96, 150]) == (255, 140, 0)
    assert not np.array(picture).any()


def test_free_response_is_shown_from_an_eighth_to_eight():
    """As a vector picture, also when no box is in vain."""
    picture = plots.free_response("FROC", np.array([0.0]), np.array([1.0]))
    assert picture.kind == "svg"
    assert b"<svg" in picture.content
