"""Answers as the clients of each dialect read them: strictly, by the rules of the dialect's own documentation."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.translation.prompt import Call, Said


def sse(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield (event, data) of events with one `data:` line; lines end as the dialect's own do."""
    text = body.decode().replace("\r\n", "\n")
    assert text == "" or text.endswith("\n\n"), text[-100:]
    for block in text.split("\n\n")[:-1]:
        event, data = "", None
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name == "event":
                event = value.strip()
            elif name == "data":
                assert data is None, block
                data = value.removeprefix(" ")
        if data is not None:
            yield event, data


# --- OpenAI chat completions


def chat(body: bytes, *, stream: bool) -> Said:
    return _chat_stream(body) if stream else _chat_whole(json.loads(body))


_CHAT_FINISH = {"content_filter": "refusal"}


def _chat_whole(document: dict[str, Any]) -> Said:
    if "error" in document:
        return _openai_error(document)
    assert document["object"] == "chat.completion"
    (choice,) = document["choices"]
    message = choice["message"]
    assert message["role"] == "assistant"
    calls = [_chat_call(call) for call in message.get("tool_calls") or []]
    assert message["content"] is not None or calls or message.get("refusal")
    usage = document.get("usage")
    assert usage is None or usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return Said(
        text=message["content"] or "",
        thoughts=message.get("reasoning_content") or "",
        calls=calls,
        finish="refusal"
        if message.get("refusal")
        else _CHAT_FINISH.get(choice["finish_reason"], choice["finish_reason"]),
        input_tokens=usage and usage["prompt_tokens"],
        output_tokens=usage and usage["completion_tokens"],
        model=document["model"],
        is_complete=True,
    )


def _chat_call(call: dict[str, Any]) -> Call:
    assert call["type"] == "function"
    extra = {"extra_content": call["extra_content"]} if "extra_content" in call else {}
    return Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]), extra)


def _chat_stream(body: bytes) -> Said:
    said = Said()
    calls: dict[int, dict[str, Any]] = {}
    ids = set()
    is_over = False
    for _, data in sse(body):
        assert not is_over, "something follows [DONE]"
        if data == "[DONE]":
            said.is_complete = is_over = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            failed = _openai_error(chunk)
            said.error, said.error_code = failed.error, failed.error_code
            continue
        assert said.error is None, "something follows an error"
        assert chunk["object"] == "chat.completion.chunk"
        if "prompt_filter_results" in chunk and not chunk["choices"]:
            continue  # Azure's own first chunk
        ids.add(chunk["id"])
        said.model = chunk["model"]
        if not chunk["choices"]:
            assert said.input_tokens is None, "usage twice"
            said.input_tokens, said.output_tokens = (chunk["usage"][n] for n in ("prompt_tokens", "completion_tokens"))
            continue
        assert not chunk.get("usage"), "usage beside a choice"
        (choice,) = chunk["choices"]
        assert said.finish is None, "a choice goes on after its end"
        _chat_delta(said, calls, choice["delta"])
        said.finish = _CHAT_FINISH.get(choice["finish_reason"], choice["finish_reason"])
    assert len(ids) <= 1, ids
    if not said.is_complete:
        return said
    assert list(calls) == list(range(len(calls)))
    said.calls = [_chat_call(call) for call in calls.values()]
    return said


def _chat_delta(said: Said, calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    said.text += delta.get("content") or ""
    said.thoughts += delta.get("reasoning_content") or ""
    for piece in delta.get("tool_calls") or []:
        known = calls.get(piece["index"])
        if known is None:
            assert piece["id"], piece
            assert piece["function"]["name"], piece
            calls[piece["index"]] = json.loads(json.dumps(piece))
            calls[piece["index"]]["function"].setdefault("arguments", "")
            continue
        known["function"]["arguments"] += piece["function"].get("arguments") or ""
        known.update({name: piece[name] for name in ("extra_content",) if name in piece})


def _openai_error(document: dict[str, Any]) -> Said:
    error = document["error"]
    assert set(error) >= {"message", "type", "param", "code"}, error
    return Said(error=error["message"], error_code=error["code"])


# --- OpenAI completions


def completions(body: bytes, *, stream: bool) -> Said:
    if not stream:
        document = json.loads(body)
        if "error" in document:
            return _openai_error(document)
        assert document["object"] == "text_completion"
        (choice,) = document["choices"]
        usage = document["usage"]
        return Said(
            text=choice["text"],
            finish=choice["finish_reason"],
            input_tokens=usage["prompt_tokens"],
            output_tokens=usage["completion_tokens"],
            model=document["model"],
            is_complete=True,
        )
    said = Said()
    for _, data in sse(body):
        if data == "[DONE]":
            said.is_complete = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            return _openai_error(chunk)
        assert chunk["object"] == "text_completion"
        said.model = chunk["model"]
        if not chunk["choices"]:
            said.input_tokens, said.output_tokens = (chunk["usage"][n] for n in ("prompt_tokens", "completion_tokens"))
            continue
        (choice,) = chunk["choices"]
        said.text += choice["text"]
        said.finish = choice["finish_reason"] or said.finish
    return said


# --- OpenAI responses


def responses(body: bytes, *, stream: bool) -> Said:
    if not stream:
        document = json.loads(body)
        return _openai_error(document) if document.get("object") != "response" else _response(document)
    said = Said()
    text, arguments = "", ""
    for number, (event, data) in enumerate(sse(body)):
        document = json.loads(data)
        assert event == document["type"]
        assert document["sequence_number"] == number, event
        assert not said.is_complete, "something follows the last event"
        match event:
            case "response.output_text.delta":
                text += document["delta"]
            case "response.function_call_arguments.delta":
                arguments += document["delta"]
            case "response.completed" | "response.incomplete":
                said = _response(document["response"])
            case "response.failed":
                error = document["response"]["error"]
                return Said(text=text, error=error["message"], error_code=error["code"])
            case "error":
                said = Said(text=text, error=document["message"], error_code=document["code"])
            case _:
                pass
    if said.is_complete:
        assert said.text == text
        assert arguments == "" or said.calls
    return said if said.is_complete or said.error else Said(text=text)


def _response(document: dict[str, Any]) -> Said:
    assert document["status"] in {"completed", "incomplete", "in_progress"}, document["status"]
    said = Said(model=document["model"], is_complete=True)
    ids = set()
    for item in document["output"]:
        assert item["id"] not in ids
        ids.add(item["id"])
        if item["type"] == "message":
            for part in item["content"]:
                said.text += part["text"] if part["type"] == "output_text" else ""
                said.finish = "refusal" if part["type"] == "refusal" else said.finish
        elif item["type"] == "function_call":
            said.calls.append(Call(item["call_id"], item["name"], json.loads(item["arguments"])))
        elif item["type"] == "reasoning":
            pieces = [*(item.get("summary") or []), *(item.get("content") or [])]
            said.thoughts += "".join(piece["text"] for piece in pieces)
    if document["status"] == "incomplete":
        reason = document["incomplete_details"]["reason"]
        said.finish = {"max_output_tokens": "length", "content_filter": "refusal"}[reason]
    elif said.finish is None:
        said.finish = "tool_calls" if said.calls else "stop"
    if usage := document.get("usage"):
        assert usage["input_tokens_details"]["cached_tokens"] is not None
        assert usage["output_tokens_details"]["reasoning_tokens"] is not None
        said.input_tokens, said.output_tokens = usage["input_tokens"], usage["output_tokens"]
    said.raw_turn = document["output"]
    return said


# --- Anthropic messages

_MESSAGES_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


def messages(body: bytes, *, stream: bool) -> Said:
    if not stream:
        document = json.loads(body)
        return _messages_error(document) if document["type"] == "error" else _message(document, is_complete=True)
    return _messages_stream(body)


def _messages_error(document: dict[str, Any]) -> Said:
    error = document["error"]
    assert isinstance(error["message"], str)
    return Said(error=error["message"], error_code=error["type"])


def _message(document: dict[str, Any], *, is_complete: bool) -> Said:
    assert (document["type"], document["role"]) == ("message", "assistant")
    said = Said(model=document["model"], is_complete=is_complete, raw_turn=document["content"])
    for block in document["content"]:
        match block["type"]:
            case "text":
                said.text += block["text"]
            case "thinking":
                assert isinstance(block["signature"], str)
                said.thoughts += block["thinking"]
            case "tool_use":
                said.calls.append(Call(block["id"], block["name"], block["input"]))
    reason = document["stop_reason"]
    said.finish = _MESSAGES_FINISH.get(reason, reason)
    if usage := document.get("usage"):
        said.input_tokens = sum(
            usage.get(name) or 0 for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        )
        said.output_tokens = usage["output_tokens"]
    return said


def _messages_stream(body: bytes) -> Said:
    message: dict[str, Any] = {}
    block: dict[str, Any] | None = None
    is_complete = False
    for event, data in sse(body):
        document = json.loads(data)
        assert event == document["type"]
        assert not is_complete, "something follows message_stop"
        match event:
            case "error":
                failed = _messages_error(document)
                failed.text = "".join(each.get("text", "") for each in message.get("content", []))
                return failed
            case "message_start":
                assert not message
                message = document["message"]
                assert message["content"] == []
            case "content_block_start":
                assert block is None, "blocks interleave"
                assert document["index"] == len(message["content"])
                block = document["content_block"] | {"json": ""}
                message["content"].append(block)
            case "content_block_delta":
                assert block is not None
                assert document["index"] == len(message["content"]) - 1
                _take_delta(block, document["delta"])
            case "content_block_stop":
                assert block is not None
                block = None
            case "message_delta":
                assert block is None
                message |= document["delta"]
                message.setdefault("usage", {}).update(document.get("usage") or {})
            case "message_stop":
                is_complete = True
    if not is_complete:
        return Said()
    for each in message["content"]:
        text = each.pop("json")
        if each["type"] == "tool_use":
            each["input"] = json.loads(text or "{}")
    return _message(message, is_complete=True)


def _take_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta["type"]:
        case "text_delta":
            assert block["type"] == "text"
            block["text"] += delta["text"]
        case "thinking_delta":
            assert block["type"] == "thinking"
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            assert block["type"] == "thinking"
            block["signature"] = delta["signature"]
        case "input_json_delta":
            assert block["type"] == "tool_use"
            block["json"] += delta["partial_json"]


# --- Gemini

_GEMINI_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "refusal"}


def gemini(body: bytes, *, stream: bool) -> Said:
    documents = [json.loads(data) for _, data in sse(body)] if stream else [json.loads(body)]
    return _gemini(documents, stream=stream)


def gemini_array(body: bytes, *, stream: bool) -> Said:
    document = json.loads(body)  # raises for an array that was cut off
    return _gemini(document if stream and isinstance(document, list) else [document], stream=stream)


def _gemini(documents: list[dict[str, Any]], *, stream: bool) -> Said:
    said = Said()
    parts: list[dict[str, Any]] = []
    for document in documents:
        assert said.finish is None, "something follows the end"
        if "error" in document:
            error = document["error"]
            assert isinstance(error["code"], int)
            return Said(text=said.text, error=error["message"], error_code=error["status"])
        said.model = document.get("modelVersion", said.model)
        if usage := document.get("usageMetadata"):
            said.input_tokens = usage.get("promptTokenCount", 0)
            said.output_tokens = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        for candidate in document.get("candidates", []):
            for part in candidate.get("content", {}).get("parts", []):
                _gemini_part(said, part)
                parts.append(part)
            if reason := candidate.get("finishReason"):
                said.finish = _GEMINI_FINISH.get(reason, reason)
    said.is_complete = said.finish is not None or not stream
    if said.calls and said.finish == "stop":
        said.finish = "tool_calls"
    said.raw_turn = parts
    return said


def _gemini_part(said: Said, part: dict[str, Any]) -> None:
    if "functionCall" in part:
        call = part["functionCall"]
        extra = {"thoughtSignature": part["thoughtSignature"]} if "thoughtSignature" in part else {}
        said.calls.append(Call(call.get("id", ""), call["name"], call.get("args", {}), extra))
    elif part.get("thought"):
        said.thoughts += part.get("text", "")
    else:
        said.text += part.get("text", "")


# --- Ollama


def ollama(body: bytes, *, stream: bool) -> Said:
    lines = body.decode().splitlines() if stream else [body.decode()]
    said = Said()
    for line in lines:
        document = json.loads(line)
        assert not said.is_complete, "something follows the last line"
        if "error" in document:
            return Said(text=said.text, error=document["error"])
        said.model = document["model"]
        message = document.get("message") or {"content": document.get("response", "")}
        said.text += message.get("content", "")
        said.thoughts += message.get("thinking") or document.get("thinking") or ""
        for call in message.get("tool_calls") or []:
            function = call["function"]
            assert isinstance(function["arguments"], dict)
            said.calls.append(Call(call.get("id", ""), function["name"], function["arguments"]))
        if document["done"]:
            said.is_complete = True
            said.finish = document.get("done_reason")
            said.input_tokens, said.output_tokens = document.get("prompt_eval_count"), document.get("eval_count")
    if said.calls and said.finish == "stop":
        said.finish = "tool_calls"
    return said
