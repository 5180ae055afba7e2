"""Which local models make the gateway degraded."""

from typing import Any

import pytest

from intellirouter.admin.app import _is_down


@pytest.mark.parametrize(
    ("worker", "is_down"),
    [
        ({"state": "ready", "crashes": 0}, False),
        ({"state": "ready", "crashes": 9}, False),
        ({"state": "backoff", "crashes": 1}, False),
        ({"state": "backoff", "crashes": 3}, True),
        ({"state": "loading", "crashes": 4}, True),
        ({"state": "failed", "crashes": 0}, True),
        ({"state": "missing_engine", "crashes": 0}, True),
        ({"state": "fetching", "crashes": 0}, False),
        ({"state": "fetching", "crashes": 0, "problem": "The weights cannot be fetched."}, True),
        ({"state": "backoff", "crashes": 0, "problem": "The weights cannot be fetched."}, True),
        ({"state": "ready", "crashes": 0, "problem": None}, False),
    ],
)
def test_a_model_that_has_failed_or_crashes_again_and_again_is_down(worker: dict[str, Any], is_down: bool) -> None:
    assert _is_down(worker) is is_down
