"""The metrics of concurrency limits and queues."""

from intellirouter.telemetry import LimitView, Metrics, limit_metrics


def test_limits_queues_waits_and_rejections_are_exposed() -> None:
    view = LimitView(
        deployment="a",
        limit=8,
        in_flight=7,
        waiting=3,
        waits=[1, 2, 4],
        waits_sum_s=5.5,
        refusals={"queue_full": 2, "timeout": 1},
    )
    metrics = Metrics()
    metrics.add_source(lambda: limit_metrics([view], (0.1, 1.0)))
    text = metrics.render().decode()
    for line in (
        'intellirouter_deployment_concurrency_limit{deployment="a"} 8.0',
        'intellirouter_deployment_in_flight{deployment="a"} 7.0',
        'intellirouter_deployment_queue_depth{deployment="a"} 3.0',
        'intellirouter_deployment_queue_wait_seconds_bucket{deployment="a",le="0.1"} 1.0',
        'intellirouter_deployment_queue_wait_seconds_bucket{deployment="a",le="1.0"} 3.0',
        'intellirouter_deployment_queue_wait_seconds_bucket{deployment="a",le="+Inf"} 7.0',
        'intellirouter_deployment_queue_wait_seconds_sum{deployment="a"} 5.5',
        'intellirouter_deployment_queue_rejections_total{deployment="a",reason="queue_full"} 2.0',
        'intellirouter_deployment_queue_rejections_total{deployment="a",reason="timeout"} 1.0',
    ):
        assert line in text
