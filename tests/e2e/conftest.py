"""Makes this folder's modules importable, here and in `faults`, and brings in the shared gateway."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from shared_fixtures import gateway, vendor

__all__ = ["gateway", "vendor"]
