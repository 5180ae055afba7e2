"""The shared gateway of the folder `e2e`, for tests that break things."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from shared_fixtures import gateway, vendor

__all__ = ["gateway", "vendor"]
