"""The short form of `make faults`: fewer jobs, the same faults."""

from __future__ import annotations

import random

import pytest

from .harness import run


@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(1 << 32)], ids=["random"])
def test_each_job_that_was_acknowledged_ends_once(seed):
    said = []
    assert run(seed=seed, jobs=100, clients=10, printers=4, kills=4, say=said.append) == [], said
