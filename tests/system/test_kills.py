"""Processes are killed while studies stream through: nothing is lost, nothing comes twice, every study ends done."""

import random

import pytest

from benchmarks.faults.dying import steps
from benchmarks.faults.kills import run_kills
from benchmarks.faults.transitions import cross


def test_whatever_is_killed_the_stream_comes_through(tmp_path):
    """Sender, node, worker and PACS, some of them, while they work; the seed is told when it fails."""
    seed = random.SystemRandom().randrange(1 << 31)
    outcome = run_kills(tmp_path / "line", count=4, seed=seed)
    assert outcome.is_good, f"{outcome}; logs are in {tmp_path / 'line'}"


@pytest.mark.parametrize("step", steps(), ids=str)
def test_a_death_at_any_step_is_made_good(tmp_path, step):
    """Each transition and each change of files, right before it and right after; then the processes come again."""
    crossing = cross(tmp_path, step)
    assert crossing.is_good, crossing
