"""A hostile network: nothing that is sent breaks the node, keeps others from being served, or fills its memory."""

import random

from benchmarks.faults.callers import run_callers
from benchmarks.faults.fuzz import run_fuzz


def test_mutated_input_is_refused_and_nothing_else(tmp_path):
    """Data sets, association requests and messages; the seed is told when it fails. The benchmark does far more."""
    outcome = run_fuzz(tmp_path, count=1000, seed=random.SystemRandom().randrange(1 << 31))
    assert outcome.is_good, f"{outcome}; the first input of each is in {tmp_path}/parsed"


def test_two_hundred_slow_callers_keep_nobody_waiting(tmp_path):
    """They are sent away when their time is over, and a decent peer does not notice them."""
    outcome = run_callers(tmp_path)
    assert outcome.is_good, str(outcome)
