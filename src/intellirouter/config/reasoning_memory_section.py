"""The settings of the memory for reasoning."""

from pydantic import Field

from intellirouter.config.section import Section


class ReasoningMemory(Section):
    """Remembers signed or encrypted reasoning that belongs to tool calls, for clients that do not send it back."""

    enabled: bool = Field(
        default=True,
        description="Whether the reasoning and the signatures of an answer with tool calls are remembered, and sent "
        "back to the same upstream if the client omits them in its next request.",
    )
    max_entries: int = Field(
        default=50_000, ge=1, le=10_000_000, description="Maximum number of remembered tool calls of all tenants."
    )
    max_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=64 * 1024,
        description="Maximum size of everything that is remembered, in bytes. If it is reached, the tenants with the "
        "most entries forget those that they have not used for the longest time.",
    )
    max_age_s: float = Field(
        default=6 * 3600.0, gt=0, le=30 * 86_400.0, description="How long a tool call is remembered after its last use."
    )
