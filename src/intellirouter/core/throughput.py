"""The throughput that a stream must have: an upstream that sends hardly anything, or only pings, has failed."""

from typing import Final, Protocol

from intellirouter.core.deployment import Timeouts

_CHECKS_PER_WINDOW: Final = 20


class TokenSource(Protocol):
    """A stream whose throughput can be measured."""

    @property
    def produced_tokens(self) -> int:
        """About how many tokens the upstream has produced so far. Pings and comments are none."""
        ...


class ThroughputFloor:
    """Watches one stream after its first content.

    The stream may be silent for `throughput_window_s`. This allowance shrinks while the gateway waits for the upstream,
    and each token adds the time that it may take, up to the whole window. A stream at half of the required throughput
    fails after two windows. While the client reads slowly, the allowance does not shrink.
    """

    __slots__ = ("_checked_s", "_interval_s", "_min_tokens_per_s", "_source", "_tokens", "_window_s", "allowance_s")

    def __init__(self, timeouts: Timeouts, source: TokenSource, now_s: float) -> None:
        """The tokens of `source` are read twenty times per window."""
        self._min_tokens_per_s = timeouts.min_tokens_per_s
        self._window_s = self.allowance_s = timeouts.throughput_window_s
        self._interval_s = self._window_s / _CHECKS_PER_WINDOW
        self._source = source
        self._tokens = source.produced_tokens
        self._checked_s = now_s

    def is_missed(self, now_s: float, *, is_waiting: bool) -> bool:
        """Return whether the stream has been too slow. `is_waiting`: the gateway waits for the upstream now.

        Does nothing if the last check was a short time ago.
        """
        elapsed_s = now_s - self._checked_s
        if elapsed_s < self._interval_s:
            return False
        tokens = max(self._tokens, self._source.produced_tokens)
        earned_s = (tokens - self._tokens) / self._min_tokens_per_s
        self._checked_s, self._tokens = now_s, tokens
        self.allowance_s = min(self._window_s, self.allowance_s + earned_s)
        if is_waiting:
            self.allowance_s -= elapsed_s
        return self.allowance_s <= 0
