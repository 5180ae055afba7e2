"""Metrics of circuit breakers: a gauge of the state, and a counter of its changes."""

from intellirouter.telemetry import BreakerView, Metrics, breaker_metrics


def test_states_are_numbers_and_changes_are_counted() -> None:
    metrics = Metrics()
    views = [
        BreakerView("a", "open", 2, 3, 1),
        BreakerView("b", "half_open", 1, 0, 0),
        BreakerView("c", "closed", 1, 1, 1),
    ]
    metrics.add_source(lambda: breaker_metrics(views))
    lines = [line for line in metrics.render().decode().splitlines() if "breaker" in line and line[0] != "#"]
    assert lines == [
        'intellirouter_breaker_state{deployment="a"} 2.0',
        'intellirouter_breaker_state{deployment="b"} 1.0',
        'intellirouter_breaker_state{deployment="c"} 0.0',
        'intellirouter_breaker_transitions_total{deployment="a",to="open"} 2.0',
        'intellirouter_breaker_transitions_total{deployment="a",to="half_open"} 3.0',
        'intellirouter_breaker_transitions_total{deployment="a",to="closed"} 1.0',
        'intellirouter_breaker_transitions_total{deployment="b",to="open"} 1.0',
        'intellirouter_breaker_transitions_total{deployment="b",to="half_open"} 0.0',
        'intellirouter_breaker_transitions_total{deployment="b",to="closed"} 0.0',
        'intellirouter_breaker_transitions_total{deployment="c",to="open"} 1.0',
        'intellirouter_breaker_transitions_total{deployment="c",to="half_open"} 1.0',
        'intellirouter_breaker_transitions_total{deployment="c",to="closed"} 1.0',
    ]
