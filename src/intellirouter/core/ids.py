"""Time-ordered ids: sortable by creation, unique across processes, no I/O per id."""

import random
import time

_rng = random.Random(random.SystemRandom().getrandbits(256))  # noqa: S311 - uniqueness, not secrecy


def new_id(prefix: str) -> str:
    """Return `prefix` + 12 hex digits of milliseconds since the epoch + 20 random ones (80 bits)."""
    return f"{prefix}{time.time_ns() // 1_000_000:012x}{_rng.getrandbits(80):020x}"
