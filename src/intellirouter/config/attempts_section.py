"""Settings of the attempts of a request, for `defaults` and for models."""

from typing import Annotated, Final

from pydantic import Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Seconds

MaxAttempts = Annotated[int, Field(ge=1, le=100)]
MAX_ATTEMPTS_TEXT: Final = (
    "Limit of the attempts of a request over all deployments. Attempts of all kinds count: retries, fallbacks, and "
    "attempts with another credential or over a new connection."
)


class Backoff(Section):
    """Delay between retries: exponential back-off with jitter. Each delay is random, from half of its maximum up."""

    base_s: Seconds = Field(
        default=1.0, description="Maximum delay before the first retry, in seconds. It doubles with every retry."
    )
    max_s: Seconds = Field(default=30.0, description="Maximum delay before any retry, in seconds.")
