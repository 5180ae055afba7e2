"""Settings of the degradation ladder of a model."""

from typing import Annotated, Final

from pydantic import Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Count, Text
from intellirouter.core import RefusalPolicy

DEGRADATION_TEXT: Final = (
    "Steps that are tried in this order when the model, its fallbacks included, cannot answer, as long as nothing has "
    "been sent to the client. Each one starts with the original request. Requests that are at fault themselves get "
    "their error at once, but those that are too long for the model do not count as such."
)
_DEFAULT_MESSAGE: Final = "This model is not available at the moment. Please try again later."


class Refusal(Section):
    """A refusal in words of your own: an error, or an answer of the assistant."""

    message: Text = Field(default=_DEFAULT_MESSAGE, description="The text for the client.")
    as_answer: bool = Field(
        default=False,
        description="Whether the message is sent as an answer of the assistant, with status 200. Requests for JSON or "
        "a certain tool call, requests that are not answered in words, and lines of batches get the error in any case.",
    )
    status: Annotated[int, Field(ge=400, le=599)] = Field(
        default=RefusalPolicy(message="").status, description="HTTP status of the error."
    )


class DegradationStep(Section):
    """One step. It has model, shorten_to_tokens or both of them, or else stale_s or refuse."""

    model: Text | None = Field(
        default=None,
        description="Another entry under models, whose deployments and fallbacks answer instead. The attempts count "
        "for max_attempts, request_timeout_s and max_cost_usd of this model. Embeddings and token counts cannot be "
        "those of another model, so this step is skipped for them.",
    )
    shorten_to_tokens: Count | None = Field(
        default=None,
        description="Leaves out the oldest turns of a conversation, until it has about this many input tokens. System "
        "messages and the last turn are kept, and a tool call stays with its result. Without model, the step is only "
        "taken if the request was too long.",
    )
    stale_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None,
        description="Uses an answer of the response cache that has expired at most so many seconds ago. It is the "
        "place and the value of cache.stale_if_error_s for this model.",
    )
    refuse: Refusal | None = Field(default=None, description="Refuses the request. It can only be the last step.")
