"""Validate a request to the Messages API and read what the planner needs."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct, field

from intellirouter.fake.completion import CompletionRequest
from intellirouter.testing.wires.anthropic.blocks import (
    MAX_CACHE_MARKS,
    check_block,
    check_cache_mark,
    check_content,
    check_pairs,
    marks_of,
    text_of,
)
from intellirouter.testing.wires.anthropic.cache import prompt_tokens
from intellirouter.testing.wires.anthropic.fields import EXTRA, at, known_only, one_of, optional, required, typed
from intellirouter.testing.wires.anthropic.reply import invalid
from intellirouter.testing.wires.anthropic.settings import check_sampling, check_thinking, output_schema
from intellirouter.testing.wires.anthropic.tools import check_tools, choose_tool
from intellirouter.testing.wires.shared.prompt_cache import CacheUse

TOKENS_PER_MESSAGE: Final = 4
MAX_STOPS: Final = 8191
_MEMBERS: Final = frozenset(
    [
        "model",
        "messages",
        "max_tokens",
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "metadata",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user_profile_id",
        "workspace_id",
    ]
)
_COUNTED: Final = frozenset(
    [
        "model",
        "messages",
        "cache_control",
        "output_config",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        "user_profile_id",
        "workspace_id",
    ]
)
_BETA_MEMBERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "context_management": "context-management-",
        "mcp_servers": "mcp-client-",
        "output_format": "structured-outputs-",
        "fallbacks": "server-side-fallback-",
    }
)
"""Members that require a beta flag."""
_NO_PREFILL: Final = re.compile(r"claude-(?:\w+-)?(?:4-[6-9]|[5-9]|\d\d)(?:-|$|\.)")
REDACTS: Final = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
REFUSES: Final = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"
"""Prefixes of the strings that Anthropic documents for tests."""


class MessagesRequest(CompletionRequest, kw_only=True):
    """A request to `POST /v1/messages`."""

    is_stream: bool = False
    is_redacted: bool = False
    shows_reasoning: bool = True
    prompt: list[dict[str, Any]] = field(default_factory=list)
    """Tools, system blocks and message blocks, in the order of the prompt cache."""
    cache: CacheUse = CacheUse()


Turn = tuple[str, int, list[dict[str, Any]]]


class _Prompt(Struct):
    tools: list[dict[str, Any]]
    system: list[dict[str, Any]]
    turns: list[Turn]

    def blocks(self) -> list[dict[str, Any]]:
        spoken = [block for _, _, blocks in self.turns for block in blocks]
        return [*self.tools, *self.system, *spoken]


def parse_messages(request: dict[str, Any], betas: str) -> MessagesRequest:
    """Validate the request. `betas` is its `anthropic-beta` header. Raises `MessagesError`."""
    _check_members(request, _MEMBERS, betas)
    model = required(request, "model", str)
    max_tokens = required(request, "max_tokens", int)
    if max_tokens < 1:
        raise invalid("max_tokens", "Input should be greater than or equal to 1")
    prompt = _prompt(request)
    _check_end(model, prompt.turns)
    known_only(optional(request, "metadata", dict) or {}, ("user_id",), "metadata")
    if request.get("service_tier") is not None:
        one_of(request["service_tier"], ("auto", "standard_only"), "service_tier")
    check_sampling(model, request)
    shows_reasoning = check_thinking(request, max_tokens, prompt.turns)
    schema = output_schema(request)
    input_text, last_role = _last_input(prompt.turns)
    parsed = MessagesRequest(
        model=model,
        input_text=input_text,
        last_role=last_role,
        prompt_tokens=_tokens(prompt),
        stops=_stops(request),
        max_tokens=max_tokens,
        format="text" if schema is None else "json_schema",
        schema=schema,
        wants_reasoning=shows_reasoning is not None,
        call_id_prefix="toolu_",
        is_stream=optional(request, "stream", bool) or False,
        is_redacted=REDACTS in input_text,
        shows_reasoning=bool(shows_reasoning),
        prompt=prompt.blocks(),
    )
    choose_tool(parsed, request, prompt.tools)
    return parsed


def count_messages(request: dict[str, Any], betas: str) -> int:
    """Return the number of input tokens. Raises `MessagesError`."""
    _check_members(request, _COUNTED, betas)
    required(request, "model", str)
    return _tokens(_prompt(request))


def _check_members(request: dict[str, Any], members: frozenset[str], betas: str) -> None:
    for name in request:
        if name in members:
            continue
        flag = _BETA_MEMBERS.get(name)
        if flag is None or flag not in betas:
            raise invalid(name, EXTRA)


def _prompt(request: dict[str, Any]) -> _Prompt:
    tools = check_tools(request)
    system = _system(request)
    turns = _turns(request)
    check_cache_mark(request, "")
    check_pairs([turn for turn in turns if turn[0] != "system"])
    prompt = _Prompt(tools, system, turns)
    marks = sum(1 for _ in marks_of(prompt.blocks()))
    if marks > MAX_CACHE_MARKS:
        raise invalid("", f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")
    return prompt


def _system(request: dict[str, Any]) -> list[dict[str, Any]]:
    system = request.get("system")
    if system is None or system == "":
        return []
    if isinstance(system, str):
        return [{"type": "text", "text": system}]
    blocks = typed(system, list, "system")
    for index, block in enumerate(blocks):
        check_block(block, frozenset({"text"}), f"system.{index}")
    return blocks


def _turns(request: dict[str, Any]) -> list[Turn]:
    """Return (role, index of its first message, blocks) of each turn; consecutive messages of one role are one turn."""
    messages = required(request, "messages", list)
    if not messages:
        raise invalid("messages", "at least one message is required")
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        typed(message, dict, where)
        known_only(message, ("role", "content"), where)
        role = one_of(message.get("role"), ("user", "assistant", "system"), at(where, "role"))
        if "content" not in message:
            raise invalid(at(where, "content"), "Field required")
        blocks = check_content(message["content"], role, at(where, "content"))
        is_last = index == len(messages) - 1
        if not blocks and not (is_last and role == "assistant"):
            raise invalid(
                where, "all messages must have non-empty content except for the optional final assistant message"
            )
        if turns and turns[-1][0] == role:
            turns[-1][2].extend(blocks)
        else:
            turns.append((role, index, list(blocks)))
    first = next((turn for turn in turns if turn[0] != "system"), None)
    if first is None or first[0] != "user":
        raise invalid("messages", 'first message must use the "user" role')
    return turns


def _check_end(model: str, turns: list[Turn]) -> None:
    role, _, blocks = turns[-1]
    if role != "assistant":
        return
    if _NO_PREFILL.match(model):
        raise invalid(
            "",
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    if blocks and text_of(blocks[-1:]).rstrip() != text_of(blocks[-1:]):
        raise invalid("messages", "final assistant content cannot end with trailing whitespace")


def _last_input(turns: list[Turn]) -> tuple[str, str]:
    """Return the text that the model answers, and its role; text after tool results has precedence over them."""
    role, _, blocks = next((turn for turn in reversed(turns) if turn[0] == "user"), turns[-1])
    text = text_of([block for block in blocks if block["type"] == "text"])
    results = [block for block in blocks if block["type"] == "tool_result"]
    if results and not text:
        return "".join(text_of(block.get("content")) for block in results), "tool"
    return text, turns[-1][0] if turns[-1][0] == "assistant" else role


def _tokens(prompt: _Prompt) -> int:
    return TOKENS_PER_MESSAGE * len(prompt.turns) + sum(prompt_tokens(block) for block in prompt.blocks())


def _stops(request: dict[str, Any]) -> list[str]:
    stops = optional(request, "stop_sequences", list) or []
    for index, stop in enumerate(stops):
        if not typed(stop, str, f"stop_sequences.{index}").strip():
            raise invalid("stop_sequences", "each stop sequence must contain non-whitespace")
    return stops
