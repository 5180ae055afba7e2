"""Timeouts of an attempt, for `defaults`, providers, deployments and models."""

from pydantic import Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Seconds

_CONNECT_TEXT = "Timeout for connecting, including TLS, in seconds."
_FIRST_CONTENT_TEXT = (
    "Timeout from the end of the request to the first content of a streamed response, or to the headers of other "
    "responses, in seconds."
)
_IDLE_TEXT = "Timeout between two chunks of the response, in seconds."
_TOTAL_TEXT = "Timeout for the whole attempt, in seconds."


class DefaultTimeouts(Section):
    """Timeouts of one attempt, in seconds, for providers and deployments that do not set their own."""

    connect_s: Seconds = Field(default=5.0, description=_CONNECT_TEXT)
    first_token_s: Seconds = Field(default=60.0, description=_FIRST_CONTENT_TEXT)
    idle_s: Seconds = Field(default=60.0, description=_IDLE_TEXT)
    total_s: Seconds = Field(default=600.0, description=_TOTAL_TEXT)


class Timeouts(Section):
    """Timeouts of one attempt, in seconds. A deployment inherits from its provider, a provider from the defaults."""

    connect_s: Seconds | None = Field(default=None, description=_CONNECT_TEXT)
    first_token_s: Seconds | None = Field(default=None, description=_FIRST_CONTENT_TEXT)
    idle_s: Seconds | None = Field(default=None, description=_IDLE_TEXT)
    total_s: Seconds | None = Field(default=None, description=_TOTAL_TEXT)
