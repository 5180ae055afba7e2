"""Timeouts of one attempt, for `defaults`, providers and deployments."""

from typing import Annotated, Final

from msgspec import structs
from pydantic import Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Seconds
from intellirouter.core import Timeouts as AttemptTimeouts

_STANDARD: Final = AttemptTimeouts()
_CONNECT_TEXT: Final = "Timeout for connecting, including TLS, in seconds."
_FIRST_CONTENT_TEXT: Final = (
    "Timeout from the end of the request to the first content of a streamed response, or to the headers of other "
    "responses, in seconds."
)
_IDLE_TEXT: Final = "Timeout between two chunks of the response, in seconds."
_TOTAL_TEXT: Final = "Timeout for the whole attempt, in seconds."
_MIN_TOKENS_TEXT: Final = (
    "A stream that produces fewer tokens per second than this for too long fails. Pings are not tokens, and the time "
    "during which the client reads slowly does not count. 0: streams may be as slow as they are."
)
_WINDOW_TEXT: Final = "How long a stream may produce nothing, in seconds, if min_tokens_per_s is set."
Rate = Annotated[float, Field(ge=0, le=10_000)]


class DefaultTimeouts(Section):
    """Timeouts of one attempt, in seconds, for providers and deployments that do not set their own."""

    connect_s: Seconds = Field(default=_STANDARD.connect_s, description=_CONNECT_TEXT)
    first_token_s: Seconds = Field(default=_STANDARD.first_token_s, description=_FIRST_CONTENT_TEXT)
    idle_s: Seconds = Field(default=_STANDARD.idle_s, description=_IDLE_TEXT)
    total_s: Seconds = Field(default=_STANDARD.total_s, description=_TOTAL_TEXT)
    min_tokens_per_s: Rate = Field(default=_STANDARD.min_tokens_per_s, description=_MIN_TOKENS_TEXT)
    throughput_window_s: Seconds = Field(default=_STANDARD.throughput_window_s, description=_WINDOW_TEXT)


class Timeouts(Section):
    """Timeouts of one attempt, in seconds. A deployment inherits from its provider, a provider from the defaults."""

    connect_s: Seconds | None = Field(default=None, description=_CONNECT_TEXT)
    first_token_s: Seconds | None = Field(default=None, description=_FIRST_CONTENT_TEXT)
    idle_s: Seconds | None = Field(default=None, description=_IDLE_TEXT)
    total_s: Seconds | None = Field(default=None, description=_TOTAL_TEXT)
    min_tokens_per_s: Rate | None = Field(default=None, description=_MIN_TOKENS_TEXT)
    throughput_window_s: Seconds | None = Field(default=None, description=_WINDOW_TEXT)


def inherit_timeouts(entry: Timeouts | DefaultTimeouts, base: AttemptTimeouts) -> AttemptTimeouts:
    """Return `base` with the timeouts that are set in `entry`."""
    return structs.replace(base, **entry.model_dump(exclude_none=True))
