"""Validate sampling, thinking and structured output, and their combinations."""

import re
from typing import Any, Final

from intellirouter.testing.wires.anthropic.fields import known_only, one_of, optional, required
from intellirouter.testing.wires.anthropic.reply import invalid

MIN_BUDGET: Final = 1024
EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_DOCS: Final = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
_ONE_SAMPLER: Final = re.compile(r"claude-(?:\w+-)?(?:4-[1-9]|[5-9]|\d\d)(?:-|$|\.)")
_THINKING: Final = ("enabled", "disabled", "adaptive", "between_tools")
_UNSUPPORTED: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
)
"""Keywords of JSON Schema that structured output does not support."""


def check_sampling(model: str, request: dict[str, Any]) -> None:
    for name in ("temperature", "top_p"):
        value = optional(request, name, float)
        if value is not None and not 0 <= value <= 1:
            raise invalid(name, "range: 0..1")
    top_k = optional(request, "top_k", int)
    if top_k is not None and top_k < 0:
        raise invalid("top_k", "Input should be greater than or equal to 0")
    if request.get("temperature") is not None and request.get("top_p") is not None and _ONE_SAMPLER.match(model):
        raise invalid("", "`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def check_thinking(
    request: dict[str, Any], max_tokens: int, turns: list[tuple[str, int, list[dict[str, Any]]]]
) -> bool | None:
    """Return whether thinking is shown, or None if it is disabled."""
    thinking = optional(request, "thinking", dict)
    if thinking is None:
        return None
    kind = one_of(thinking.get("type"), _THINKING, "thinking.type")
    known_only(thinking, ("type", "budget_tokens", "display"), f"thinking.{kind}")
    if kind == "disabled":
        return None
    if thinking.get("display") is not None:
        one_of(thinking["display"], ("summarized", "omitted"), f"thinking.{kind}.display")
    if kind == "enabled":
        _check_budget(thinking, max_tokens)
        _check_first_block(turns)
    _check_combinations(request)
    return thinking.get("display") != "omitted"


def _check_budget(thinking: dict[str, Any], max_tokens: int) -> None:
    budget = required(thinking, "budget_tokens", int, "thinking.enabled")
    if budget < MIN_BUDGET:
        raise invalid("thinking.enabled.budget_tokens", "Input should be greater than or equal to 1024")
    if budget >= max_tokens:
        raise invalid(
            "",
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
            f"{_DOCS}#max-tokens-and-context-window-size",
        )


def _check_combinations(request: dict[str, Any]) -> None:
    """Check that sampling and the tool choice are compatible with thinking."""
    if request.get("temperature") not in (None, 1):
        raise invalid(
            "",
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our "
            f"documentation at {_DOCS}#important-considerations-when-using-extended-thinking",
        )
    if request.get("top_k") is not None:
        raise invalid("", "`top_k` must be unset when thinking is enabled or in adaptive mode.")
    top_p = request.get("top_p")
    if top_p is not None and top_p < 0.95:
        raise invalid(
            "", "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled or in adaptive mode."
        )
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in {"any", "tool"}:
        raise invalid("", "Thinking may not be enabled when tool_choice forces tool use.")


def _check_first_block(turns: list[tuple[str, int, list[dict[str, Any]]]]) -> None:
    """Check that a turn with calls whose results follow starts with thinking."""
    if not any(block["type"] == "tool_result" for block in turns[-1][2]):
        return
    role, index, blocks = next((turn for turn in reversed(turns) if turn[0] == "assistant"), turns[0])
    if role == "assistant" and blocks and blocks[0]["type"] not in {"thinking", "redacted_thinking"}:
        raise invalid(
            f"messages.{index}.content.0.type",
            f"Expected `thinking` or `redacted_thinking`, but found `{blocks[0]['type']}`. When `thinking` is enabled, "
            "a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` "
            "and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this "
            f"requirement, disable `thinking`. Please consult our documentation at {_DOCS}",
        )


def output_schema(request: dict[str, Any]) -> Any:
    """Return the schema for structured output, or None."""
    config = optional(request, "output_config", dict) or {}
    known_only(config, ("effort", "format", "task_budget"), "output_config")
    if config.get("effort") is not None:
        one_of(config["effort"], EFFORTS, "output_config.effort")
    wanted, where = config.get("format"), "output_config.format"
    if wanted is None:
        wanted, where = request.get("output_format"), "output_format"
    if wanted is None:
        return None
    one_of(wanted.get("type") if isinstance(wanted, dict) else None, ("json_schema",), f"{where}.type")
    known_only(wanted, ("type", "schema"), where)
    schema = required(wanted, "schema", dict, where)
    _check_schema(schema, f"{where}.schema")
    return schema


def _check_schema(schema: Any, where: str) -> None:
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise invalid(where, "For 'object' type, 'additionalProperties' must be explicitly set to false")
    unsupported = [name for name in _UNSUPPORTED if name in schema]
    if unsupported:
        raise invalid(where, f"For '{kind}' type, properties {', '.join(sorted(unsupported))} are not supported")
    for word in ("properties", "$defs", "definitions"):
        inner = schema.get(word)
        for below in inner.values() if isinstance(inner, dict) else ():
            _check_schema(below, where)
    for word in ("anyOf", "allOf"):
        branches = schema.get(word)
        for below in branches if isinstance(branches, list) else ():
            _check_schema(below, where)
    _check_schema(schema.get("items"), where)
