"""How a request limits the attempts that are configured for its model."""

import pytest

from intellirouter.catalog import restricted
from intellirouter.core import AttemptControl
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
