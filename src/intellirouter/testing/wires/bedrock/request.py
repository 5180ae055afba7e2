"""Validate a request to the Converse API and read what the planner needs."""

import base64
import re
from typing import Any, Final

import msgspec
from msgspec import field

from intellirouter.fake.completion import CompletionRequest, Tool
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.bedrock.reply import BedrockError
from intellirouter.testing.wires.shared.opaque_tokens import is_issued
from intellirouter.testing.wires.shared.prompt_cache import Piece

TOKENS_PER_ATTACHMENT: Final = 85
_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KINDS: Final = frozenset(
    {
        "text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent", "cachePoint",
        "reasoningContent", "citationsContent", "searchResult",
    }
)  # fmt: skip
Block = dict[str, Any]


class ConverseRequest(CompletionRequest, kw_only=True):
    """A request to `/converse` or `/converse-stream`."""

    pieces: list[Piece] = field(default_factory=list)
    """The pieces of the prompt for the prompt cache."""


def parse_converse(model: str, request: dict[str, Any]) -> ConverseRequest:
    """Validate the request. Raises `BedrockError`."""
    messages = _objects(request, "messages")
    system = _objects(request, "system")
    config = _object(request, "inferenceConfig")
    _check_config(config)
    tool_config = _object(request, "toolConfig")
    tools = _tools(tool_config)
    _check_messages(messages)
    _check_pairs(messages, has_tools=bool(tool_config))
    pieces = _pieces([*_objects(tool_config, "tools"), *system, *(b for m in messages for b in m["content"])])
    input_text, last_role = _last_input(messages)
    parsed = ConverseRequest(
        model=model,
        input_text=input_text,
        last_role=last_role,
        prompt_tokens=sum(piece.tokens for piece in pieces),
        max_tokens=config.get("maxTokens"),
        stops=[stop for stop in _list(config, "stopSequences") if isinstance(stop, str) and stop],
        tools=tools,
        call_id_prefix="tooluse_",
        wants_reasoning=_wants_reasoning(_object(request, "additionalModelRequestFields")),
        pieces=pieces,
    )
    _read_tool_choice(parsed, tool_config.get("toolChoice"))
    _read_format(parsed, _object(request, "outputConfig").get("textFormat"))
    return parsed


def _list(document: Block, name: str) -> list[Any]:
    value = document.get(name)
    if value is not None and not isinstance(value, list):
        raise BedrockError("Start of list found where not expected", name="SerializationException")
    return value or []


def _objects(document: Block, name: str) -> list[Block]:
    """Return a list of structures: `messages`, `content`, `tools`, `system`."""
    found = _list(document, name)
    if not all(isinstance(item, dict) for item in found):
        raise BedrockError("Unexpected value type in payload", name="SerializationException")
    return found


def _object(document: Block, name: str) -> Block:
    value = document.get(name)
    if value is not None and not isinstance(value, dict):
        raise BedrockError("Unexpected value type in payload", name="SerializationException")
    return value or {}


def constraint(value: Any, where: str, must: str) -> BedrockError:
    return BedrockError(
        f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy constraint: Member must {must}"
    )


def _check_config(config: Block) -> None:
    limit = config.get("maxTokens")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise constraint(limit, "inferenceConfig.maxTokens", "have value greater than or equal to 1")
    for name in ("temperature", "topP"):
        value = config.get(name)
        if value is not None and (not isinstance(value, int | float) or not 0 <= value <= 1):
            raise constraint(value, f"inferenceConfig.{name}", "have value less than or equal to 1")


def _tools(config: Block) -> list[Tool]:
    found = []
    for at, tool in enumerate(_objects(config, "tools"), 1):
        if tool.get("toolSpec") is None:
            continue
        spec = _object(tool, "toolSpec")
        where = f"toolConfig.tools.{at}.member.toolSpec"
        name = spec.get("name")
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise constraint(name, f"{where}.name", "satisfy regular expression pattern: [a-zA-Z0-9_-]+")
        schema = _object(spec, "inputSchema").get("json")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise BedrockError(
                f"The value at toolConfig.tools.{at - 1}.toolSpec.inputSchema.json.type must be one of the following: "
                "object."
            )
        found.append(Tool(name, schema))
    if "tools" in config and not config["tools"]:
        raise constraint("[]", "toolConfig.tools", "have length greater than or equal to 1")
    return found


def _check_messages(messages: list[Block]) -> None:
    for at, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant"):
            where = f"messages.{at + 1}.member.role"
            raise constraint(message.get("role"), where, "satisfy enum value set: [user, assistant]")
        if not _objects(message, "content"):
            raise BedrockError(
                f"The content field in the Message object at messages.{at} is empty. Add a ContentBlock object to the "
                "content field and try again."
            )
        if at and messages[at - 1]["role"] == message["role"]:
            raise BedrockError(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )
        for place, block in enumerate(message["content"]):
            _check_block(block, f"messages.{at}.content.{place}")
    if not messages or messages[0]["role"] != "user":
        raise BedrockError(
            "A conversation must start with a user message. Try again with a conversation that starts with a user "
            "message."
        )


def _check_block(block: Block, where: str) -> None:
    if len(block.keys() & _KINDS) != 1:
        raise BedrockError(f"The ContentBlock object at {where} must set one of the following keys: {sorted(_KINDS)}.")
    (kind,) = block.keys() & _KINDS
    inner = block[kind] if kind == "text" else _object(block, kind)
    match kind:
        case "text":
            if not isinstance(inner, str) or not inner.strip():
                raise BedrockError(
                    f"The text field in the ContentBlock object at {where} is blank. Add text to the text field, and "
                    "try again."
                )
        case "image" | "document" | "video":
            data = _object(inner, "source").get("bytes")
            if data is not None and not _is_base64(data):
                raise BedrockError("Unable to decode base64 in payload", name="SerializationException")
        case "toolUse":
            _check_id(inner, where)
            if not isinstance(inner.get("input"), dict):
                raise BedrockError(
                    f"The format of the value at {where}.toolUse.input is invalid. Provide a json object"
                )
        case "toolResult":
            _check_id(inner, where)
        case "reasoningContent":
            reasoning = _object(inner, "reasoningText")
            if "text" in reasoning and not is_issued(str(reasoning.get("signature")), str(reasoning["text"])):
                raise BedrockError(
                    f"The model returned the following errors: {where}: Invalid `signature` in `thinking` block"
                )


def _check_id(inner: Block, where: str) -> None:
    name = inner.get("toolUseId")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise constraint(name, f"{where}.toolUseId", "satisfy regular expression pattern: [a-zA-Z0-9_-]+")


def _is_base64(data: Any) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except (ValueError, TypeError):
        return False
    return True


def _ids(message: Block, kind: str) -> list[str]:
    return [block[kind]["toolUseId"] for block in message["content"] if kind in block]


def _check_pairs(messages: list[Block], *, has_tools: bool) -> None:
    """Check that the next message has one result for each call, and that tools are declared for calls and results."""
    if not has_tools and any(_ids(message, kind) for message in messages for kind in ("toolUse", "toolResult")):
        raise BedrockError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    for at, message in enumerate(messages):
        before = _ids(messages[at - 1], "toolUse") if at else []
        given = _ids(message, "toolResult")
        missing = [name for name in before if name not in given]
        if missing:
            raise BedrockError(
                f"Expected toolResult blocks at messages.{at}.content for the following Ids: {', '.join(missing)}"
            )
        if len(given) > len(before):
            raise BedrockError(
                f"The number of toolResult blocks at messages.{at}.content exceeds the number of toolUse blocks of "
                "previous turn."
            )
    left = _ids(messages[-1], "toolUse")
    if left:
        raise BedrockError(
            f"Expected toolResult blocks at messages.{len(messages)}.content for the following Ids: {', '.join(left)}"
        )


def _last_input(messages: list[Block]) -> tuple[str, str]:
    """Return the text that the model answers, and its role; text next to tool results has precedence over them."""
    message = next(message for message in reversed(messages) if message["role"] == "user")
    text = "".join(block["text"] for block in message["content"] if "text" in block)
    results = [block["toolResult"] for block in message["content"] if "toolResult" in block]
    if results and not text:
        return "".join(_result(part) for result in results for part in _objects(result, "content")), "tool"
    return text, str(messages[-1]["role"])


def _result(part: Block) -> str:
    if "json" in part:
        return msgspec.json.encode(part["json"]).decode()
    return str(part.get("text", ""))


def _pieces(blocks: list[Block]) -> list[Piece]:
    """Return the pieces of the prompt; a cache point marks the block before it."""
    pieces: list[Piece] = []
    for block in blocks:
        if "cachePoint" in block:
            point = _object(block, "cachePoint")
            if pieces:
                last = pieces.pop()
                pieces.append(Piece(last.content, last.tokens, "1h" if point.get("ttl") == "1h" else "5m"))
            continue
        is_media = bool(block.keys() & {"image", "document", "video", "audio"})
        text = str(block.get("text", block))
        tokens = TOKENS_PER_ATTACHMENT if is_media else count_tokens(text)
        pieces.append(Piece(msgspec.json.encode(block), tokens))
    return pieces


def _read_tool_choice(parsed: ConverseRequest, choice: Any) -> None:
    if choice is None:
        return
    if not isinstance(choice, dict) or len(choice.keys() & {"auto", "any", "tool"}) != 1:
        raise BedrockError("The toolChoice field must set one of the following keys: auto, any, tool.")
    if "any" in choice:
        parsed.tool_choice = "required"
    elif "tool" in choice:
        name = _object(choice, "tool").get("name")
        if all(tool.name != name for tool in parsed.tools):
            raise BedrockError(f"The tool '{name}' that toolChoice names is not among the tools of toolConfig.")
        parsed.tool_choice = f"={name}"
    if parsed.wants_reasoning and "auto" not in choice:
        raise BedrockError(
            "The model returned the following errors: Thinking may not be enabled when tool_choice forces tool use."
        )


def _read_format(parsed: ConverseRequest, wanted: Any) -> None:
    if wanted is None:
        return
    definition = _object(_object(wanted, "structure"), "jsonSchema") if isinstance(wanted, dict) else {}
    try:
        parsed.schema = msgspec.json.decode(definition.get("schema") or "")
    except (msgspec.MsgspecError, TypeError):
        raise BedrockError("outputConfig.textFormat.structure.jsonSchema.schema must be JSON in a string.") from None
    parsed.format = "json_schema"


def _wants_reasoning(more: Block) -> bool:
    """Return whether the model-specific fields enable reasoning."""
    thinking = more.get("thinking") or more.get("reasoning_config")
    return isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
