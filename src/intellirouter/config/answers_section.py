"""The settings of answers."""

from typing import Literal

from pydantic import Field

from intellirouter.config.section import Section


class Answers(Section):
    """The answers that clients receive."""

    model_name: Literal["upstream", "requested"] = Field(
        default="upstream",
        description="Which name of the model answers contain, in every dialect, streamed or not. With upstream, it is "
        "the name in the provider's answer, such as gpt-4o-2024-08-06. With requested, it is the name in the client's "
        "request.",
    )
