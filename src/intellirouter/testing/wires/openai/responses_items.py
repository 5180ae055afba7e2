"""Validate the input items of the Responses API: their content, and that calls and outputs match."""

from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.fake.openai.fields import wrong_type
from intellirouter.fake.openai.replies import OpenAiError
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.shared.opaque_tokens import is_issued

TOKENS_PER_ITEM: Final = 4
TOKENS_PER_ATTACHMENT: Final = 85
_ROLES: Final = ("user", "assistant", "system", "developer")
_INPUTS: Final = ("input_text", "input_image", "input_file", "input_audio")
_OUTPUTS: Final = ("output_text", "refusal")
_PREFIXES: Final = {
    "message": "msg_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
    "reasoning": "rs_",
    "function_call_output": "fco_",
}
_CALLS: Final = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
_TEXTS: Final = frozenset({"input_text", "output_text"})
Item = dict[str, Any]


def invalid(message: str, param: str, code: str = "invalid_value") -> OpenAiError:
    return OpenAiError(400, message, param=param, code=code)


def missing(param: str) -> OpenAiError:
    return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def read_items(value: Any) -> list[Item]:
    """Return the items of `input`, each with a type and an id. Raises `OpenAiError`."""
    if value is None:
        return []
    if isinstance(value, str):
        return [_with_id({"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]})]
    if not isinstance(value, list):
        raise wrong_type("input", "one of an array of objects or string", value)
    items = []
    for index, item in enumerate(value):
        where = f"input[{index}]"
        if not isinstance(item, dict):
            raise wrong_type(where, "an object", item)
        items.append(_with_id(_checked(item, where)))
    if items and items[-1]["type"] == "reasoning":
        name = items[-1].get("id")
        raise invalid(f"Item '{name}' of type 'reasoning' was provided without its required following item.", "input")
    return items


def _with_id(item: Item) -> Item:
    kind = item["type"]
    return item if item.get("id") else {"id": new_id(_PREFIXES.get(kind, "item_")), **item}


def _checked(item: Item, where: str) -> Item:
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind is None:
        raise missing(f"{where}.type")
    if not isinstance(kind, str):
        raise wrong_type(f"{where}.type", "a string", kind)
    match kind:
        case "message":
            return {**item, "type": "message", "content": _content(item, where)}
        case "function_call" | "custom_tool_call":
            _strings(item, ("call_id", "name", "arguments" if kind == "function_call" else "input"), where)
        case "function_call_output" | "custom_tool_call_output":
            _strings(item, ("call_id",), where)
            _check_output(item.get("output"), where)
        case "reasoning":
            encrypted = item.get("encrypted_content")
            if encrypted is not None and not (isinstance(encrypted, str) and is_issued(encrypted, "reasoning")):
                raise invalid(
                    f"The encrypted content {str(encrypted)[:8]}... could not be verified.",
                    where,
                    "invalid_encrypted_content",
                )
        case "item_reference":
            _strings(item, ("id",), where)
    return item


def _check_output(output: Any, where: str) -> None:
    if isinstance(output, str):
        return
    if not isinstance(output, list):
        raise wrong_type(f"{where}.output", "one of a string or array of objects", output)
    for index, part in enumerate(output):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in _INPUTS:
            raise invalid(f"Invalid value: '{kind}'.", f"{where}.output[{index}].type")
        if kind == "input_text":
            _strings(part, ("text",), f"{where}.output[{index}]")


def _strings(item: Item, names: tuple[str, ...], where: str) -> None:
    for name in names:
        if item.get(name) is None:
            raise missing(f"{where}.{name}")
        if not isinstance(item[name], str):
            raise wrong_type(f"{where}.{name}", "a string", item[name])


def _content(item: Item, where: str) -> list[Item]:
    role, content = item.get("role"), item.get("content")
    if role not in _ROLES:
        allowed = ", ".join(f"'{name}'" for name in _ROLES)
        raise invalid(f"Invalid value: '{role}'. Supported values are: {allowed}.", f"{where}.role")
    is_own = role == "assistant"
    if isinstance(content, str):
        return [{"type": "output_text" if is_own else "input_text", "text": content}]
    if content is None:
        raise missing(f"{where}.content")
    if not isinstance(content, list):
        raise wrong_type(f"{where}.content", "one of an array of objects or string", content)
    allowed_types = _OUTPUTS if is_own else _INPUTS
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in allowed_types:
            supported = ", ".join(f"'{name}'" for name in allowed_types)
            raise invalid(
                f"Invalid value: '{kind}'. Supported values are: {supported}.", f"{where}.content[{index}].type"
            )
        if kind in _TEXTS:
            _strings(part, ("text",), f"{where}.content[{index}]")
    return content


def check_pairs(items: list[Item]) -> None:
    """Check that every output follows its call, and that every call has an output. Raises `OpenAiError`."""
    open_ids: dict[str, str] = {}
    for item in items:
        kind = item["type"]
        if kind in _CALLS:
            open_ids[item["call_id"]] = _CALLS[kind]
        elif kind in _CALLS.values() and open_ids.pop(item["call_id"], None) is None:
            kind_name = "function call" if kind == "function_call_output" else "custom tool call"
            raise invalid(f"No tool call found for {kind_name} output with call_id {item['call_id']}.", "input")
    for name in open_ids:
        raise invalid(f"No tool output found for function call {name}.", "input")


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or [] if part.get("type") in _TEXTS)


def last_input(items: list[Item]) -> tuple[str, str]:
    """Return the text that the model answers, and the role of the last item."""
    last = items[-1] if items else {"type": "message", "role": "user"}
    if last["type"] in _CALLS.values():
        outputs = []
        for item in reversed(items):
            if item["type"] not in _CALLS.values():
                break
            outputs.append(text_of(item["output"]))
        return "".join(reversed(outputs)), "tool"
    message = next((item for item in reversed(items) if item.get("role") == "user"), {})
    return text_of(message.get("content")), str(last.get("role", "user"))


def tokens_of(item: Item) -> int:
    total = TOKENS_PER_ITEM
    content = item.get("content") or item.get("output")
    if isinstance(content, str):
        total += count_tokens(content)
    for part in content if isinstance(content, list) else []:
        total += count_tokens(part["text"]) if isinstance(part.get("text"), str) else TOKENS_PER_ATTACHMENT
    return total + count_tokens(str(item.get("name", "")) + str(item.get("arguments", item.get("input", ""))))
