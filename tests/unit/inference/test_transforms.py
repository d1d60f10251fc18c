"""Pixels to network input and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inference.cards import Preparation
from inference.transforms import LUMA, Placement, place, prepare, prepared, resized, standardise, to_unit
from inference.volume import Window

PLAIN = Preparation(size=64, use_window=False, lower_percentile=0, upper_percentile=100)


@pytest.mark.parametrize(
    ("rows", "columns", "inner", "offset"),
    [
        (100, 200, (32, 64), (16, 0)),  # 64/200 of 100 rows
        (200, 100, (64, 32), (0, 16)),
        (64, 64, (64, 64), (0, 0)),
        (300, 1, (64, 1), (0, 31)),  # never less than one pixel
        (3, 2, (64, 43), (0, 10)),
    ],
)
def test_the_picture_keeps_its_aspect(rows, columns, inner, offset):
    """One factor for both axes, centred in the square."""
    placement = Placement(rows, columns, 64)
    assert (placement.inner, placement.offset) == (inner, offset)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(40, 260), columns=st.integers(40, 260))
def test_a_map_comes_back_to_where_it_was(rows, columns):
    """There and back, a blob keeps its place within a pixel of the coarser grid and its area within a tenth."""
    row, column = np.mgrid[0:rows, 0:columns]
    blob = ((row - 0.4 * rows) / (0.25 * rows)) ** 2 + ((column - 0.6 * columns) / (0.2 * columns)) ** 2 < 1
    square, placement = place(blob[None].astype(np.float32), 128)
    back = placement.restore(square[:, 0])[0].numpy() > 0.5
    assert back.shape == blob.shape
    one_pixel = max(1.0, max(rows, columns) / 128)
    assert np.argwhere(back).mean(0) == pytest.approx(np.argwhere(blob).mean(0), abs=one_pixel)
    assert back.sum() == pytest.approx(blob.sum(), rel=0.1)


@pytest.mark.parametrize(
    ("rows", "columns"), [(300, 1), (1, 300), (64, 1), (1, 64), (3, 1), (1, 3), (1, 1), (300, 2), (2, 300), (900, 3)]
)
def test_a_line_comes_back_as_it_was(rows, columns):
    """A ramp along the longer side, however narrow the picture."""
    along = np.linspace(0, 1, max(rows, columns), dtype=np.float32)
    ramp = np.broadcast_to(along[:, None] if rows > columns else along, (rows, columns))[None].copy()
    square, placement = place(ramp, 64)
    assert placement.restore(square[:, 0])[0].numpy() == pytest.approx(
        ramp[0], abs=0.02 if max(ramp.shape) > 3 else 0.2
    )


def test_a_fixed_window_is_the_scale_whatever_the_header_says():
    """Its edges become 0 and 1; neither percentiles nor the header's window change that."""
    preparation = Preparation(size=64, use_window=True, window={"center": 40, "width": 400})
    stack = np.array([[[-1000, -160, 40, 240, 3000]]], np.float32)
    for header in (None, Window(1000, 10)):
        assert to_unit(stack, header, preparation).ravel() == pytest.approx([0, 0, 0.5, 1, 1])


def test_a_network_for_colours_gets_the_grey_three_times():
    """Each with its own mean and deviation."""
    preparation = Preparation(size=2, use_window=False, rgb=True, mean=(0, 0.5, 1), std=(1, 0.5, 0.25))
    standard = standardise(torch.full((1, 1, 2, 2), 0.5), preparation)
    assert standard[0, :, 0, 0].tolist() == [0.5, 0, -2]
    for wrong in ({"edges": True}, {"mean": (0.5, 0.5)}, {"std": (0.1, 0.2, 0)}):
        with pytest.raises(ValidationError):
            Preparation(**{"size": 2, "use_window": False, "rgb": True, **wrong})


def test_padding_never_comes_back():
    """What a network says about the black around the picture is cut away."""
    square, placement = place(np.zeros((1, 20, 60), np.float32), 60)
    square[:, :, :20], square[:, :, 40:] = 1, 1
    assert placement.restore(square[:, 0]).max() == 0


def test_percentiles_of_the_stack_become_0_and_1():
    """All slices share one scale, so that a dark slice stays dark."""
    stack = np.stack([np.full((4, 4), value, np.float32) for value in (0, 50, 100)])
    assert [float(unit.mean()) for unit in to_unit(stack, None, PLAIN)] == pytest.approx([0, 0.5, 1])


def test_the_window_is_applied_only_when_asked_for():
    """Outside of it everything is black or white."""
    pixels = np.linspace(-1000, 1000, 100, dtype=np.float32).reshape(1, 10, 10)
    windowed = PLAIN.model_copy(update={"use_window": True})
    unit = to_unit(pixels, Window(0, 200), windowed)
    assert (unit == 0).mean() == pytest.approx(0.45, abs=0.01)
    assert (unit == 1).mean() == pytest.approx(0.45, abs=0.01)
    assert (to_unit(pixels, Window(0, 200), PLAIN) == 0).sum() == 1


@pytest.mark.parametrize("value", [0.0, -1000.0, 4095.0])
def test_a_constant_picture_is_black_and_finite(value):
    """No division by a range that is none."""
    unit = to_unit(np.full((2, 8, 8), value, np.float32), None, Preparation(size=64, use_window=False))
    assert np.isfinite(unit).all()
    assert unit.max() == 0


def test_a_few_bright_pixels_on_black_stay_visible():
    """Where the percentiles meet, the extremes decide."""
    pixels = np.zeros((1, 100, 100), np.float32)
    pixels[0, 50, 50] = 700
    assert to_unit(pixels, None, Preparation(size=64, use_window=False)).max() == 1


def test_colour_becomes_luma():
    """Red, green and blue weigh as in BT.601."""
    rgb = np.eye(3, dtype=np.float32)[None, None] * 255  # one row: a red, a green, a blue pixel
    unit = to_unit(np.concatenate([rgb, np.zeros_like(rgb)], axis=1), None, PLAIN)
    assert unit[0, 0] == pytest.approx(LUMA / LUMA.max())


def test_prepare_is_place_of_unit_standardised():
    """One way for training and inference: its parts give the same."""
    pixels = np.random.default_rng(0).normal(100, 30, (3, 40, 50)).astype(np.float32)
    preparation = Preparation(size=32, use_window=False, mean=0.4, std=0.2)
    whole, placement = prepare(pixels, None, preparation)
    parts, _ = place(to_unit(pixels, None, preparation), 32)
    assert torch.equal(whole, standardise(parts, preparation))
    assert whole.shape == (3, 1, 32, 32)
    assert (placement.rows, placement.columns) == (40, 50)


def test_only_one_batch_of_a_long_stack_is_in_memory(monkeypatch):
    """A network is asked in full batches, and the last one has the rest; each is made when it is asked for."""
    placed = []
    monkeypatch.setattr("inference.transforms.place", lambda unit, size: placed.append(len(unit)) or place(unit, size))
    batches = prepared(np.zeros((7, 10, 10), np.float32), None, Preparation(size=4, use_window=False), 3)
    assert len(next(batches)) == 3
    assert placed == [3]
    assert [len(batch) for batch in batches] == [3, 1]


def test_resized_squares_of_the_right_size_are_left_alone():
    """No copy, no blur."""
    squares = torch.rand(2, 1, 16, 16)
    assert resized(squares, 16) is squares
    assert resized(squares, 8).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    "asked",
    [
        {"use_window": True},
        {"use_window": False},
        {"use_window": False, "denoise": True, "equalise": 2.0},
        {"use_window": False, "window": {"center": 100, "width": 300}},
    ],
)
@pytest.mark.parametrize("shape", [(7, 40, 30), (5, 30, 40, 3)])
def test_training_and_inference_prepare_alike(monkeypatch, shape, asked):
    """Step by step, as training does it, at once, and a slice at a time, as of a long stack: the same numbers."""
    pixels = np.random.default_rng(3).normal(100, 60, shape).astype(np.float32)
    preparation, window = Preparation(size=32, **asked), Window(90, 80)
    square, _ = place(to_unit(pixels, window, preparation), preparation.size)
    at_once, _ = prepare(pixels, window, preparation)
    monkeypatch.setattr("inference.transforms._VALUES_AT_ONCE", 1)
    slice_by_slice, _ = prepare(pixels, window, preparation)
    batches = list(prepared(pixels, window, preparation, 2))
    assert torch.equal(standardise(square, preparation), at_once)
    assert torch.equal(at_once, slice_by_slice)
    assert torch.equal(at_once, torch.cat(batches))
    assert [len(batch) for batch in batches[:-1]] == [2] * (len(pixels) // 2)


def test_a_long_stack_is_prepared_as_its_slices_are(monkeypatch):
    """How many are worked on together changes no value, and each has its place."""
    pixels = np.random.default_rng(3).normal(100, 30, (7, 40, 30)).astype(np.float32)
    whole, placement = prepare(pixels, Window(100, 90), PLAIN.model_copy(update={"edges": True, "use_window": True}))
    monkeypatch.setattr("inference.transforms._VALUES_IN_CACHE", 3000)
    for stack in (pixels, np.repeat(pixels[..., None], 3, -1)):
        pieces, same = prepare(stack, Window(100, 90), PLAIN.model_copy(update={"edges": True, "use_window": True}))
        assert pieces.numpy() == pytest.approx(whole.numpy(), abs=1e-5)
        assert (same, pieces.shape) == (placement, (7, 2, 64, 64))
