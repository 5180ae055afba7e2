"""The bars of attempts over time."""

import pytest

from intellirouter.cli.record_tables import attempt_bar, attempts_table
from intellirouter.cli.tables import lay_out
from intellirouter.core import Attempt


def _attempt(started_ms: float, ended_ms: float | None, first_byte_ms: float | None = None) -> Attempt:
    return Attempt(
        deployment="mini",
        kind="first",
        started_ms=started_ms,
        ended_ms=ended_ms,
        first_byte_ms=first_byte_ms,
        outcome="upstream_unavailable",
    )


@pytest.mark.parametrize(
    "attempt", [_attempt(0.0, 0.4), _attempt(50.0, 50.1), _attempt(99.9, 100.0), _attempt(100.0, 100.0)]
)
def test_an_attempt_without_a_byte_is_never_drawn_as_receiving(attempt: Attempt) -> None:
    bar = attempt_bar(attempt, 100.0)
    assert len(bar) == 40
    assert (bar.count("░"), bar.count("█")) == (1, 0)


def test_an_attempt_waits_and_then_receives() -> None:
    assert attempt_bar(_attempt(0.0, 100.0, 50.0), 100.0) == "░" * 20 + "█" * 20
    assert attempt_bar(_attempt(50.0, None), 100.0) == "·" * 20 + "░" * 20
    assert attempt_bar(_attempt(0.0, 0.2, 0.1), 100.0) == "█" + "·" * 39


@pytest.mark.parametrize(("width", "is_shown"), [(120, True), (80, False), (50, False)])
def test_the_legend_is_shown_with_the_bars(width: int, is_shown: bool) -> None:
    lines = lay_out(attempts_table((_attempt(0.0, 40.0),), 80.0), width).lines
    assert any("waiting for the first byte" in line for line in lines) is is_shown
    assert any("░" * 10 in line for line in lines) is is_shown
