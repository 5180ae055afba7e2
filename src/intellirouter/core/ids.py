"""Time-ordered ids: sortable by creation, unique across processes, no I/O per id."""

import random
import time

_rng = random.Random(random.SystemRandom().getrandbits(256))  # noqa: S311 - uniqueness, not secrecy


def new_id(prefix: str) -> str:
    """Return `prefix` + 15 hex digits of time + 17 random ones (68 bits).

    The first 12 count milliseconds since the epoch, the next 3 are 4096ths of one: ids of one process sort as made.
    """
    return f"{prefix}{(time.time_ns() << 12) // 1_000_000:015x}{_rng.getrandbits(68):017x}"
