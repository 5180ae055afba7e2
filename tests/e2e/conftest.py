"""Makes this folder's modules importable, here and in `faults`, and brings in the shared gateways."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from dialect_fixtures import dialect_processes, world
from shared_fixtures import gateway, vendor

__all__ = ["dialect_processes", "gateway", "vendor", "world"]
