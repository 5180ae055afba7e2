"""Makes this folder's modules importable from the dialects' own folders."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
