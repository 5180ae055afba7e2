"""Strict parsers for the answers of each dialect, written after the documentation of the dialect."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.translation.prompt import Call, ParsedAnswer


def sse(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield (event, data) of each event, which must have one `data:` line."""
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


def chat(body: bytes, *, stream: bool) -> ParsedAnswer:
    return _chat_stream(body) if stream else _chat_whole(json.loads(body))


_CHAT_FINISH = {"content_filter": "refusal"}


def _chat_whole(document: dict[str, Any]) -> ParsedAnswer:
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
    return ParsedAnswer(
        text=message["content"] or "",
        reasoning=message.get("reasoning_content") or "",
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


def _chat_stream(body: bytes) -> ParsedAnswer:
    answer = ParsedAnswer()
    calls: dict[int, dict[str, Any]] = {}
    ids = set()
    is_over = False
    for _, data in sse(body):
        assert not is_over, "There is data after [DONE]."
        if data == "[DONE]":
            answer.is_complete = is_over = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            failed = _openai_error(chunk)
            answer.error, answer.error_code = failed.error, failed.error_code
            continue
        assert answer.error is None, "There is data after an error."
        assert chunk["object"] == "chat.completion.chunk"
        if "prompt_filter_results" in chunk and not chunk["choices"]:
            continue  # Azure starts with a chunk that has only prompt filters
        ids.add(chunk["id"])
        answer.model = chunk["model"]
        if not chunk["choices"]:
            assert answer.input_tokens is None, "There is more than one usage."
            answer.input_tokens, answer.output_tokens = (
                chunk["usage"][n] for n in ("prompt_tokens", "completion_tokens")
            )
            continue
        assert not chunk.get("usage"), "There is usage next to a choice."
        (choice,) = chunk["choices"]
        assert answer.finish is None, "There is content after the end of a choice."
        _chat_delta(answer, calls, choice["delta"])
        answer.finish = _CHAT_FINISH.get(choice["finish_reason"], choice["finish_reason"])
    assert len(ids) <= 1, ids
    if not answer.is_complete:
        return answer
    assert list(calls) == list(range(len(calls)))
    answer.calls = [_chat_call(call) for call in calls.values()]
    return answer


def _chat_delta(answer: ParsedAnswer, calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    answer.text += delta.get("content") or ""
    answer.reasoning += delta.get("reasoning_content") or ""
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


def _openai_error(document: dict[str, Any]) -> ParsedAnswer:
    error = document["error"]
    assert set(error) >= {"message", "type", "param", "code"}, error
    return ParsedAnswer(error=error["message"], error_code=error["code"])


# --- OpenAI completions


def completions(body: bytes, *, stream: bool) -> ParsedAnswer:
    if not stream:
        document = json.loads(body)
        if "error" in document:
            return _openai_error(document)
        assert document["object"] == "text_completion"
        (choice,) = document["choices"]
        usage = document.get("usage")
        return ParsedAnswer(
            text=choice["text"],
            finish=choice["finish_reason"],
            input_tokens=usage and usage["prompt_tokens"],
            output_tokens=usage and usage["completion_tokens"],
            model=document["model"],
            is_complete=True,
        )
    answer = ParsedAnswer()
    for _, data in sse(body):
        assert not answer.is_complete, "There is data after [DONE]."
        if data == "[DONE]":
            answer.is_complete = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            failed = _openai_error(chunk)
            answer.error, answer.error_code = failed.error, failed.error_code
            continue
        assert answer.error is None, "There is data after an error."
        assert chunk["object"] == "text_completion"
        answer.model = chunk["model"]
        if not chunk["choices"]:
            answer.input_tokens, answer.output_tokens = (
                chunk["usage"][n] for n in ("prompt_tokens", "completion_tokens")
            )
            continue
        (choice,) = chunk["choices"]
        answer.text += choice["text"]
        answer.finish = choice["finish_reason"] or answer.finish
    return answer


# --- OpenAI responses


def responses(body: bytes, *, stream: bool) -> ParsedAnswer:
    if not stream:
        document = json.loads(body)
        return _openai_error(document) if document.get("object") != "response" else _response(document)
    answer = ParsedAnswer()
    text, arguments = "", ""
    for number, (event, data) in enumerate(sse(body)):
        document = json.loads(data)
        assert event == document["type"]
        assert document["sequence_number"] == number, event
        assert not answer.is_complete, "There are events after the last event."
        match event:
            case "response.output_text.delta":
                text += document["delta"]
            case "response.function_call_arguments.delta":
                arguments += document["delta"]
            case "response.completed" | "response.incomplete":
                answer = _response(document["response"])
            case "response.failed":
                error = document["response"]["error"]
                return ParsedAnswer(text=text, error=error["message"], error_code=error["code"])
            case "error":
                answer = ParsedAnswer(text=text, error=document["message"], error_code=document["code"])
            case _:
                pass
    if answer.is_complete:
        assert answer.text == text
        assert arguments == "" or answer.calls
    return answer if answer.is_complete or answer.error else ParsedAnswer(text=text)


def _response(document: dict[str, Any]) -> ParsedAnswer:
    assert document["status"] in {"completed", "incomplete", "in_progress"}, document["status"]
    answer = ParsedAnswer(model=document["model"], is_complete=True)
    ids = set()
    for item in document["output"]:
        assert item["id"] not in ids
        ids.add(item["id"])
        if item["type"] == "message":
            for part in item["content"]:
                answer.text += part["text"] if part["type"] == "output_text" else ""
                answer.finish = "refusal" if part["type"] == "refusal" else answer.finish
        elif item["type"] == "function_call":
            answer.calls.append(Call(item["call_id"], item["name"], json.loads(item["arguments"])))
        elif item["type"] == "reasoning":
            pieces = [*(item.get("summary") or []), *(item.get("content") or [])]
            answer.reasoning += "".join(piece["text"] for piece in pieces)
    if document["status"] == "incomplete":
        reason = document["incomplete_details"]["reason"]
        answer.finish = {"max_output_tokens": "length", "content_filter": "refusal"}[reason]
    elif answer.finish is None:
        answer.finish = "tool_calls" if answer.calls else "stop"
    if usage := document.get("usage"):
        assert usage["input_tokens_details"]["cached_tokens"] is not None
        assert usage["output_tokens_details"]["reasoning_tokens"] is not None
        answer.input_tokens, answer.output_tokens = usage["input_tokens"], usage["output_tokens"]
    answer.raw_turn = document["output"]
    return answer


# --- Anthropic messages

_MESSAGES_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


def messages(body: bytes, *, stream: bool) -> ParsedAnswer:
    if not stream:
        document = json.loads(body)
        return _messages_error(document) if document["type"] == "error" else _message(document, is_complete=True)
    return _messages_stream(body)


def _messages_error(document: dict[str, Any]) -> ParsedAnswer:
    error = document["error"]
    assert isinstance(error["message"], str)
    return ParsedAnswer(error=error["message"], error_code=error["type"])


def _message(document: dict[str, Any], *, is_complete: bool) -> ParsedAnswer:
    assert (document["type"], document["role"]) == ("message", "assistant")
    answer = ParsedAnswer(model=document["model"], is_complete=is_complete, raw_turn=document["content"])
    for block in document["content"]:
        match block["type"]:
            case "text":
                answer.text += block["text"]
            case "thinking":
                assert isinstance(block["signature"], str)
                answer.reasoning += block["thinking"]
            case "tool_use":
                answer.calls.append(Call(block["id"], block["name"], block["input"]))
    reason = document["stop_reason"]
    answer.finish = _MESSAGES_FINISH.get(reason, reason)
    if usage := document.get("usage"):
        answer.input_tokens = sum(
            usage.get(name) or 0 for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        )
        answer.output_tokens = usage["output_tokens"]
    return answer


def _messages_stream(body: bytes) -> ParsedAnswer:
    message: dict[str, Any] = {}
    block: dict[str, Any] | None = None
    is_complete = False
    for event, data in sse(body):
        document = json.loads(data)
        assert event == document["type"]
        assert not is_complete, "There are events after message_stop."
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
                assert block is None, "A block starts before the end of the previous block."
                assert document["index"] == len(message["content"])
                block = document["content_block"] | {"json": ""}
                message["content"].append(block)
            case "content_block_delta":
                assert block is not None
                assert document["index"] == len(message["content"]) - 1
                _apply_delta(block, document["delta"])
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
        return ParsedAnswer()
    for each in message["content"]:
        text = each.pop("json")
        if each["type"] == "tool_use":
            each["input"] = json.loads(text or "{}")
    return _message(message, is_complete=True)


def _apply_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
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


def gemini(body: bytes, *, stream: bool) -> ParsedAnswer:
    documents = [json.loads(data) for _, data in sse(body)] if stream else [json.loads(body)]
    return _gemini(documents, stream=stream)


def gemini_array(body: bytes, *, stream: bool) -> ParsedAnswer:
    document = json.loads(body)  # raises if the array is incomplete
    return _gemini(document if stream and isinstance(document, list) else [document], stream=stream)


def _gemini(documents: list[dict[str, Any]], *, stream: bool) -> ParsedAnswer:
    answer = ParsedAnswer()
    parts: list[dict[str, Any]] = []
    for document in documents:
        assert answer.finish is None, "There is data after the end."
        if "error" in document:
            error = document["error"]
            assert isinstance(error["code"], int)
            return ParsedAnswer(text=answer.text, error=error["message"], error_code=error["status"])
        answer.model = document.get("modelVersion", answer.model)
        if usage := document.get("usageMetadata"):
            answer.input_tokens = usage.get("promptTokenCount", 0)
            answer.output_tokens = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        for candidate in document.get("candidates", []):
            for part in candidate.get("content", {}).get("parts", []):
                _gemini_part(answer, part)
                parts.append(part)
            if reason := candidate.get("finishReason"):
                answer.finish = _GEMINI_FINISH.get(reason, reason)
    answer.is_complete = answer.finish is not None or not stream
    if answer.calls and answer.finish == "stop":
        answer.finish = "tool_calls"
    answer.raw_turn = parts
    return answer


def _gemini_part(answer: ParsedAnswer, part: dict[str, Any]) -> None:
    if "functionCall" in part:
        call = part["functionCall"]
        extra = {"thoughtSignature": part["thoughtSignature"]} if "thoughtSignature" in part else {}
        answer.calls.append(Call(call.get("id", ""), call["name"], call.get("args", {}), extra))
    elif part.get("thought"):
        answer.reasoning += part.get("text", "")
    else:
        answer.text += part.get("text", "")


# --- Ollama


def ollama(body: bytes, *, stream: bool) -> ParsedAnswer:
    lines = body.decode().splitlines() if stream else [body.decode()]
    answer = ParsedAnswer()
    for line in lines:
        document = json.loads(line)
        assert not answer.is_complete, "There are lines after the last line."
        if "error" in document:
            return ParsedAnswer(text=answer.text, error=document["error"])
        answer.model = document["model"]
        message = document.get("message") or {"content": document.get("response", "")}
        answer.text += message.get("content", "")
        answer.reasoning += message.get("thinking") or document.get("thinking") or ""
        for call in message.get("tool_calls") or []:
            function = call["function"]
            assert isinstance(function["arguments"], dict)
            answer.calls.append(Call(call.get("id", ""), function["name"], function["arguments"]))
        if document["done"]:
            answer.is_complete = True
            answer.finish = document.get("done_reason")
            answer.input_tokens, answer.output_tokens = document.get("prompt_eval_count"), document.get("eval_count")
    if answer.calls and answer.finish == "stop":
        answer.finish = "tool_calls"
    return answer
