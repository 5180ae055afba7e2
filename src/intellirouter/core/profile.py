"""What a family of models accepts: facts of the model, where a vendor's `Quirks` are facts of the endpoint."""

from typing import Final, Literal

from msgspec import Struct

ReasoningControl = Literal["unknown", "none", "budget", "adaptive", "always", "level", "effort", "effort_config"]
"""How a request controls a model's reasoning.

`unknown`: nothing is known of the model, and each dialect has a default of its own. `none`: it does not reason.
`budget`: by a number of tokens. `adaptive`: the model decides, guided by an effort. `always`: the same, and it cannot
be switched off. `level`: by one of `Profile.reasoning_levels`. `effort`: by a member with an effort. `effort_config`:
by an object with an effort; with the highest one, the model takes neither an output limit nor sampling parameters.
"""


class Profile(Struct, frozen=True, kw_only=True):
    """Facts about a model that decide how a request for it is written.

    The defaults describe a model of which nothing is known. The table of families is in `catalog/profiles.py`.
    """

    reasoning: ReasoningControl = "unknown"
    reasons_by_default: bool = False
    """It reasons unless the request switches that off."""
    can_stop_reasoning: bool = True
    """A reasoning budget of 0 is accepted."""
    min_reasoning_tokens: int = 0
    """The smallest reasoning budget, apart from 0."""
    max_reasoning_tokens: int | None = None
    """The largest reasoning budget; None: unlimited or unknown."""
    reasoning_levels: tuple[str, ...] = ("minimal", "low", "medium", "high")
    """The levels that a model with `reasoning="level"` knows, the lowest first."""
    efforts: tuple[str, ...] = ()
    """The efforts that a model of OpenAI accepts, the lowest first; empty: unknown."""
    has_xhigh_effort: bool = True
    """Knows the effort `xhigh`."""
    wants_reasoning_back: bool = False
    """It fails, or forgets, when its reasoning before a tool call is not sent back with the call."""
    takes_sampling: bool = True
    """Takes `temperature`, `top_p` and `top_k`; for OpenAI's models also penalties and log probabilities."""
    takes_sampling_without_reasoning: bool = False
    """Takes `temperature`, `top_p` and log probabilities if it does not reason, although not `takes_sampling`."""
    takes_stop: bool = True
    """Takes stop sequences."""
    takes_prefill: bool = True
    """Continues an answer that the conversation ends with."""
    takes_temperature_with_top_p: bool = True
    """Takes `temperature` and `top_p` in one request."""
    top_k_path: tuple[str, ...] = ()
    """Where `top_k` goes among the model's own request fields; empty: it takes none there."""
    takes_penalties: bool = False
    """Takes `presence_penalty` and `frequency_penalty` among its own request fields."""
    takes_seed: bool = False
    """Takes `seed` among its own request fields."""
    caches_messages: bool = False
    """Takes prompt cache marks in messages, where the dialect leaves that to the model."""
    caches_tools: bool = False
    """Takes prompt cache marks after tools, where the dialect leaves that to the model."""
    caches_only_text: bool = False
    """Takes prompt cache marks only directly after text, not after media, tool calls and tool results."""
    takes_cache_ttl: bool = False
    """Takes a lifetime in prompt cache marks, where the dialect leaves that to the model."""
    min_cached_tokens: int = 0
    """The shortest prompt that the provider caches at a mark; 0: it needs no marks, or nothing is known."""
    has_result_status: bool = False
    """Takes a status in tool results, where the dialect leaves that to the model."""
    reports_stop_sequence: bool = False
    """Can report which stop sequence ended the answer, where the dialect has no member for it."""
    wants_call_signatures: bool = False
    """The tool calls of the current turn must carry a signature of the reasoning before them."""
    takes_media_in_results: bool = False
    """Takes media inside tool results."""
    has_short_call_ids: bool = False
    """Takes only ids of tool calls that consist of nine letters or digits."""
    takes_json_output_with_tools: bool = True
    """Takes a JSON output format and tools in one request."""


UNKNOWN_PROFILE: Final = Profile()
