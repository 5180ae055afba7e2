"""How long nothing has been sent to a client whose connection must be kept alive.

It is checked regularly, together with the deadlines of all connections, so that sending costs nothing for it.
"""

from collections.abc import Callable

from intellirouter.config.runtime import ServerSpec


class Silence:
    """The silence of one response. `on_silence` is called whenever it has lasted long enough; it sends something."""

    __slots__ = ("_on_silence", "_since_s", "_written_bytes")

    def __init__(self, on_silence: Callable[[], None]) -> None:
        self._on_silence = on_silence
        self._written_bytes = -1
        """How much had been written to the client at the last check; negative before the first one."""
        self._since_s = 0.0

    def check(self, now_s: float, written_bytes: int, limits: ServerSpec, *, has_begun: bool) -> None:
        """Call `on_silence` if nothing has been written for too long. `has_begun`: the response has."""
        if written_bytes != self._written_bytes:
            self._written_bytes, self._since_s = written_bytes, now_s
            return
        interval_s = limits.stream_ping_s if has_begun else limits.first_ping_s
        if interval_s and limits.stream_ping_s and now_s - self._since_s >= interval_s:
            self._since_s = now_s
            self._on_silence()
