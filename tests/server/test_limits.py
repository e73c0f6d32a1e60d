"""The buckets of jobs and bytes: whatever somebody prints and whenever, a minute holds no more than one bucket and what fills again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawprint_server import limits
from rawprint_server.limits import Meter, RateLimited


def test_as_many_at_once_as_a_minute_has_and_then_as_time_goes():
    meter = Meter(3, 1000)
    for _ in range(3):
        meter.charge("a", 10, 100.0)
    with pytest.raises(RateLimited) as caught:
        meter.charge("a", 10, 100.0)
    assert (caught.value.code, caught.value.message) == ("rate-limited", "more than 3 jobs or 1000 bytes a minute")
    assert caught.value.hint.startswith("Try again in 20 s")
    meter.charge("b", 10, 100.0)  # others have their own
    with pytest.raises(RateLimited):
        meter.charge("a", 10, 119.9)
    meter.charge("a", 10, 120.0)
    with pytest.raises(RateLimited):
        meter.charge("a", 10, 120.0)


def test_a_refused_job_costs_nothing():
    meter = Meter(1, 1000)
    meter.charge("a", 1, 0.0)
    for second in range(60):
        with pytest.raises(RateLimited):
            meter.charge("a", 1, float(second))
    meter.charge("a", 1, 60.0)


def test_a_job_of_more_than_a_minute_has_is_taken_once_and_paid_off():
    meter = Meter(100, 1000)
    meter.charge("a", 3000, 0.0)
    for now in (1.0, 60.0, 119.0):
        with pytest.raises(RateLimited):
            meter.charge("a", 1, now)
    meter.charge("a", 1, 121.0)
    with pytest.raises(RateLimited):
        meter.charge("a", 3000, 122.0)
    meter.charge("a", 3000, 182.0)


def test_a_clock_that_goes_back_gives_nothing():
    meter = Meter(1, 1000)
    meter.charge("a", 1, 100.0)
    for now in (90.0, 100.0, 50.0):
        with pytest.raises(RateLimited):
            meter.charge("a", 1, now)


def test_smaller_limits_count_at_once():
    meter = Meter(100, 1000)
    meter.charge("a", 1, 0.0)
    meter.jobs = 2
    meter.charge("a", 1, 0.0)
    meter.charge("a", 1, 0.0)
    with pytest.raises(RateLimited):
        meter.charge("a", 1, 0.0)


def test_it_does_not_grow_by_clients(monkeypatch):
    monkeypatch.setattr(limits, "_MOST_CLIENTS", 10)
    meter = Meter(5, 1000)
    for client in range(1000):
        meter.charge(str(client), 1, 0.0)
    assert len(meter._clients) == 10


JOBS = st.lists(
    st.tuples(st.floats(0, 40), st.integers(0, 3000), st.sampled_from("ab")),
    max_size=60,
)


@given(JOBS, st.integers(1, 8), st.integers(1024, 4000))
def test_no_minute_holds_more_than_the_bucket_and_what_fills_again(tries, jobs, size):
    meter, now, taken = Meter(jobs, size), 0.0, []
    for wait, wanted, who in tries:
        now += wait
        try:
            meter.charge(who, wanted, now)
        except RateLimited:
            continue
        taken.append((now, wanted, who))
    for who in "ab":
        mine = [(at, wanted) for at, wanted, whose in taken if whose == who]
        for first, _ in mine:
            minute = [wanted for at, wanted in mine if first <= at <= first + 60]
            assert len(minute) <= 2 * jobs
            # One may be larger than the bucket; it is taken where that is full, and the rest of the minute pays for it.
            assert sum(minute) - max(minute) <= 2 * size
        if mine:  # and in the long run nothing but what fills again
            assert len(mine) <= jobs + (mine[-1][0] - mine[0][0]) / 60 * jobs + 1e-6


@given(st.integers(1, 100), st.integers(1024, 1 << 40))
def test_who_has_printed_nothing_for_a_minute_may_print(jobs, size):
    meter = Meter(jobs, size)
    for minute in range(3):
        for _ in range(jobs):
            meter.charge("a", size // jobs, minute * 60.0)
