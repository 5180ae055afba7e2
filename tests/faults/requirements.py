"""What gateways get wrong when an upstream fails, and the tests that say how this one behaves.

The numbers are those of the study of other gateways (research on gateways, section 3).
"""

from msgspec import Struct

FAILOVER = "tests/faults/test_failover.py"
MATRIX = "tests/faults/test_matrix.py"
NAMED = "tests/faults/test_requirements.py"


class Requirement(Struct, frozen=True):
    problem: str
    tests: tuple[str, ...]
    """`FILE::FUNCTION`."""


REQUIREMENTS: dict[int, Requirement] = {
    1: Requirement(
        "A stream that dies is truncated or duplicated.",
        (
            f"{MATRIX}::test_outcome",
            "tests/faults/test_continuation.py::test_stream_is_continued_for_every_pair_of_dialects",
            f"{FAILOVER}::test_failure_after_the_first_content_ends_the_stream_with_one_error",
            "tests/e2e/test_dialects_faults.py::test_broken_stream_never_ends_like_a_complete_one",
            "tests/e2e/test_what_gateways_get_wrong_streams.py::test_no_retry_after_the_first_byte",
        ),
    ),
    2: Requirement(
        "Primary and fallback fail before the content, and the client gets status 200.",
        (
            f"{NAMED}::test_status_is_real_if_primary_and_fallback_fail_before_the_content",
            f"{FAILOVER}::test_error_is_returned_if_all_attempts_fail",
            f"{FAILOVER}::test_no_header_is_sent_before_the_first_content",
        ),
    ),
    3: Requirement(
        "A rate limit within a stream, without fallbacks, makes the gateway spin.",
        (
            f"{NAMED}::test_rate_limit_within_a_stream_is_one_error_and_no_work",
            "tests/unit/pipeline/test_attempt_bounds.py::test_attempts_calls_and_time_are_bounded",
        ),
    ),
    4: Requirement(
        "Fallbacks cannot be disabled everywhere, because several mechanisms retry.",
        (
            f"{NAMED}::test_limits_of_a_request_hold_before_and_within_a_stream",
            "tests/e2e/test_attempt_control.py::test_request_without_retries_and_fallbacks_makes_one_attempt",
        ),
    ),
    5: Requirement(
        "A silent upstream holds the request for minutes.",
        (
            f"{NAMED}::test_each_deadline_leads_to_the_next_deployment",
            "tests/faults/test_slow_streams.py::test_slow_stream_ends_with_one_error",
            "tests/unit/providers/test_deadlines.py::test_silence_after_the_start_hits_the_idle_timeout",
            "tests/unit/providers/test_deadlines.py::test_endless_response_hits_the_total_timeout",
        ),
    ),
    6: Requirement(
        "An error with status 200 defeats retries.",
        (
            f"{MATRIX}::test_outcome",
            f"{MATRIX}::test_outcome_of_operations_without_streams",
            "tests/unit/pipeline/test_errors_in_answers.py::test_the_class_decides_about_the_credential",
        ),
    ),
    7: Requirement(
        "One client's invalid requests make a healthy deployment unavailable.",
        (
            f"{NAMED}::test_invalid_requests_do_not_open_the_circuit",
            "tests/unit/catalog/test_health.py::test_attempts_that_the_client_ended_do_not_count",
        ),
    ),
    8: Requirement(
        "All deployments are cooling down, and requests fail at once.",
        (
            f"{NAMED}::test_request_waits_for_the_earliest_recovery_if_all_circuits_are_open",
            "tests/unit/resilience/test_breaker.py::test_retry_after_and_open_time_do_not_shorten_each_other",
            "tests/unit/routing/test_unavailable.py::test_open_circuits_are_ignored_if_most_of_the_pool_is_open",
        ),
    ),
    9: Requirement(
        "A deployment that fails fast attracts traffic.",
        (
            f"{NAMED}::test_deployment_that_fails_fast_does_not_attract_traffic",
            "tests/unit/routing/strategies/test_builtin.py::test_fast_failing_deployment_is_avoided",
        ),
    ),
    10: Requirement(
        "The circuit is open, and the status says that all is well.",
        (
            f"{NAMED}::test_health_says_what_the_router_does",
            "tests/unit/admin/test_circuits.py::test_gateway_is_degraded_while_a_configured_deployment_is_unavailable",
        ),
    ),
    11: Requirement(
        "A rate limit without `Retry-After` does not lead to another deployment.",
        (f"{MATRIX}::test_outcome", f"{FAILOVER}::test_failure_before_the_first_content_is_not_visible"),
    ),
    17: Requirement(
        "A client leaves, and the upstream goes on, or the tokens are not billed.",
        (
            "tests/faults/test_client_abort.py::test_disconnect_aborts_the_vendor_request_and_is_recorded",
            "tests/faults/test_client_abort.py::test_vendor_request_ends_within_100_ms",
            "tests/e2e/test_dialects_faults.py::test_client_disconnect_aborts_the_upstream_request",
        ),
    ),
    18: Requirement(
        "Memory grows until the process is killed.",
        (
            f"{NAMED}::test_memory_and_tasks_are_bounded_under_faults",
            "tests/e2e/test_stalls.py::test_memory_of_frames_comes_back_while_the_socket_is_open",
            "tests/unit/cache/test_entries.py::test_size_is_exact_after_any_sequence",
        ),
    ),
    24: Requirement(
        "Load balancing destroys prompt caches, and a cache answers one tenant with what belongs to another.",
        (
            "tests/e2e/test_affinity.py::test_conversations_stay_and_the_load_is_spread",
            "tests/e2e/test_cache.py::test_tenants_are_apart_and_keys_of_a_tenant_are_not",
            "tests/unit/cache/test_keys.py::test_only_requests_with_the_same_meaning_and_tenant_have_the_same_key",
            "tests/unit/cache/test_entries.py::test_answers_belong_to_their_tenant",
        ),
    ),
}
