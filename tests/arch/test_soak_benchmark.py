"""The soak with faults: its mix of load, and how samples are judged and reported."""

from collections import Counter

import pytest

from bench.soak_faults import __main__ as command
from bench.soak_faults.load import KINDS, MIX
from bench.soak_faults.report import Soak, render
from bench.soak_faults.samples import GAUGES, RETURNING, Sample, left_over, slope_mb_per_hour

FIGURES = dict.fromkeys(
    (*GAUGES, "attempts in flight", "threads", "database files", "other files", "other sockets"), 3.0
)
MACHINE = {
    "cpu": "x",
    "cores": 2,
    "memory_gb": 8.0,
    "kernel": "6",
    "python": "3.11",
    "commit": "abc",
    "load_before": 0.1,
    "others_percent": 1.0,
    "stolen_percent": 0.0,
}


def sample(at_s: float, rss_mb: float, **more: float) -> Sample:
    return Sample(at_s, rss_mb, FIGURES | {name.replace("_", " "): value for name, value in more.items()})


def soak(**members: object) -> Soak:
    values = {
        "minutes": 30.0,
        "rate_per_s": 80.0,
        "counts": {kind: Counter(ok=5) for kind in KINDS},
        "skipped": 0,
        "idle": sample(0, 80),
        "samples": [sample(10 * turn, 100) for turn in range(1, 181)],
        "after": sample(0, 99),
        "drain_s": 0.5,
    }
    return Soak(**(values | members))  # type: ignore[arg-type]


def test_every_kind_of_load_is_in_the_mix() -> None:
    assert set(MIX) == set(KINDS)
    assert MIX.count("batch") == 1
    assert MIX.count("plain") > len(MIX) / 2


def test_defaults_are_those_of_the_recorded_result() -> None:
    options = command.parse([])
    assert (options.minutes, options.rate, options.dry_run) == (30.0, 60.0, False)


def test_slope_ignores_the_first_half() -> None:
    growing = [sample(10 * turn, min(turn, 90)) for turn in range(180)]
    assert slope_mb_per_hour(growing) == pytest.approx(0, abs=1e-6)
    assert slope_mb_per_hour([sample(10 * turn, turn / 360) for turn in range(180)]) == pytest.approx(1)
    assert slope_mb_per_hour([sample(10, 100)]) == 0


def test_what_is_more_than_before_is_left_over() -> None:
    before = sample(0, 80)
    assert left_over(before, sample(0, 200, threads=9, cache_bytes=10)) == {}
    assert left_over(before, sample(0, 80, tasks=5, upstream_connections=0)) == {"tasks": 2.0}
    assert set(RETURNING) <= set(FIGURES)


def test_report_says_what_is_wrong() -> None:
    text = render(soak(), MACHINE, "2026-11-30")
    assert "Silently truncated, duplicated or wrong answers: 0." in text
    assert "Left over after the load: nothing" in text
    assert "| plain | 5 | 5 | 0 | 0 |  |" in text
    wrong = soak(counts={"plain": Counter(ok=3, truncated=2)}, after=sample(0, 99, tasks=4))
    text = render(wrong, MACHINE, "2026-11-30")
    assert "wrong answers: 2." in text
    assert "Left over after the load: 1 tasks" in text
    assert "| plain | 5 | 3 | 0 | 0 | truncated 2 |" in text


def test_tables_have_the_same_number_of_columns_in_each_row() -> None:
    rows = [line for line in render(soak(), MACHINE, "2026-11-30").splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {rows[0].count("|"), rows[-1].count("|")}
