"""What the chat models of all suites are given."""

import os
from typing import Any


def place() -> dict[str, Any]:
    """Return model, key and retries for the test that is being set up.

    The question of `test_agent_loop` alone moves only a model that calls whatever it is offered.
    """
    suffix = "-tools" if "test_agent_loop" in os.environ["PYTEST_CURRENT_TEST"] else ""
    return {"model": os.environ["UPSTREAM"] + suffix, "api_key": os.environ["API_KEY"], "max_retries": 0}
