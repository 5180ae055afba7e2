"""Makes this folder's shared module importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
