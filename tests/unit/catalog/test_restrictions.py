"""How a request limits the attempts that are configured for its model."""

import pytest
from msgspec import structs

from intellirouter.catalog import restricted
from intellirouter.core import AttemptControl
from tests.support.ladders import stale, to_model, with_ladder
from tests.support.pipeline import resolved

MODEL = resolved("a b", "f", retries=2, timeout_s=60.0)


def test_demands_lower_the_configured_limits() -> None:
    control = AttemptControl(retries=1, has_fallbacks=False, timeout_s=5.0)
    limited, losses = restricted(MODEL, control)
    assert (limited.retries, limited.fallbacks, limited.request_timeout_s) == (1, (), 5.0)
    assert (list(limited.by_name), limited.pool) == (["a", "b"], MODEL.pool)
    assert limited.restriction == "limited by the request: retries 1, fallbacks off, timeout 5 s"
    assert losses == ()


def test_demands_that_exceed_the_configuration_are_clamped_and_reported() -> None:
    limited, losses = restricted(MODEL, AttemptControl(retries=9, timeout_s=600.0))
    assert (limited.retries, limited.request_timeout_s) == (2, 60.0)
    assert [str(each) for each in losses] == [
        'x-intellirouter-retries;how=clamped;as="2"',
        'x-intellirouter-timeout-s;how=clamped;as="60"',
    ]


@pytest.mark.parametrize("control", [AttemptControl(), AttemptControl(has_fallbacks=True)])
def test_default_values_change_nothing(control: AttemptControl) -> None:
    assert restricted(MODEL, control) == (MODEL, ())


LADDER = with_ladder(
    structs.replace(MODEL, reserved_s=30.0, max_cost_microusd=500), to_model(resolved("s", retries=3)), stale(60.0)
)


def test_limits_also_apply_to_the_steps_of_the_ladder() -> None:
    limited, _ = restricted(LADDER, AttemptControl(retries=1, timeout_s=5.0, max_cost_microusd=20))
    to_small, to_stale = limited.degradation
    assert to_small.resolved is not None
    assert (to_small.resolved.retries, to_small.resolved.request_timeout_s) == (1, 5.0)
    assert (limited.max_cost_microusd, to_small.resolved.max_cost_microusd) == (20, 20)
    assert (to_small.step, to_stale) == (LADDER.degradation[0].step, LADDER.degradation[1])
    assert limited.reserved_s == 30.0


def test_requests_without_fallbacks_have_no_ladder() -> None:
    limited, _ = restricted(LADDER, AttemptControl(has_fallbacks=False))
    assert (limited.degradation, limited.reserved_s) == ((), 0.0)


def test_cost_can_be_limited_and_is_clamped() -> None:
    limited, losses = restricted(MODEL, AttemptControl(max_cost_microusd=20_000))
    assert (limited.max_cost_microusd, losses) == (20_000, ())
    assert limited.restriction == "limited by the request: cost 0.020000 USD"
    limited, losses = restricted(LADDER, AttemptControl(max_cost_microusd=20_000))
    assert limited.max_cost_microusd == 500
    assert [str(each) for each in losses] == ['x-intellirouter-max-cost-usd;how=clamped;as="0.000500"']
