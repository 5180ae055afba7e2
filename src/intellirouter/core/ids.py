"""Time-ordered ids: they sort by time of creation, are unique across processes and need no I/O."""

import random
import time

_rng = random.Random(random.SystemRandom().getrandbits(256))  # noqa: S311 - ids are unique, not secret


def new_id(prefix: str) -> str:
    """Return `prefix`, 15 hexadecimal digits of time and 17 random ones (68 bits).

    The first 12 digits are milliseconds since the epoch, the next 3 are 1/4096 ms, so the ids of a process sort in the
    order of their creation.
    """
    return f"{prefix}{(time.time_ns() << 12) // 1_000_000:015x}{_rng.getrandbits(68):017x}"
