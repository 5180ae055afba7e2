"""Requests as the clients of each dialect write them. By hand: the gateway's own codecs are what is tested."""

import json
from typing import Any

from msgspec import Struct

from tests.support.translation.prompt import Wish

Body = dict[str, Any]


class Request(Struct):
    path: str
    body: Body


def chat(wish: Wish, model: str, *, stream: bool) -> Request:
    body: Body = {"model": model, "messages": _chat_messages(wish), "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if wish.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in wish.tools
        ]
    if wish.tool_choice.startswith("="):
        body["tool_choice"] = {"type": "function", "function": {"name": wish.tool_choice[1:]}}
    elif wish.tool_choice:
        body["tool_choice"] = wish.tool_choice
    if wish.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": wish.schema, "strict": True},
        }
    _set(body, max_tokens=wish.max_tokens, temperature=wish.temperature)
    return Request("/v1/chat/completions", {**body, **wish.more})


def _chat_messages(wish: Wish) -> list[Body]:
    messages: list[Body] = [{"role": "system", "content": wish.system}] if wish.system else []
    content: Any = wish.text
    if wish.image or wish.image_url:
        url = wish.image_url or f"data:image/png;base64,{wish.image}"
        content = [{"type": "text", "text": wish.text}, {"type": "image_url", "image_url": {"url": url}}]
    messages.append({"role": "user", "content": content})
    if wish.called:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                **call.extra,
            }
            for call in wish.called
        ]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(wish.called, wish.results, strict=True)
        ]
    return messages


def completions(wish: Wish, model: str, *, stream: bool) -> Request:
    body: Body = {"model": model, "prompt": wish.text, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    _set(body, max_tokens=wish.max_tokens, temperature=wish.temperature)
    return Request("/v1/completions", {**body, **wish.more})


def responses(wish: Wish, model: str, *, stream: bool) -> Request:
    content: Any = wish.text
    if wish.image or wish.image_url:
        url = wish.image_url or f"data:image/png;base64,{wish.image}"
        content = [{"type": "input_text", "text": wish.text}, {"type": "input_image", "image_url": url}]
    items: list[Body] = [{"role": "user", "content": content}]
    if wish.raw_turn is not None:
        items += wish.raw_turn
    else:
        items += [
            {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": json.dumps(call.arguments)}
            for call in wish.called
        ]
    items += [
        {"type": "function_call_output", "call_id": call.id, "output": result}
        for call, result in zip(wish.called, wish.results, strict=True)
    ]
    body: Body = {"model": model, "input": items, "stream": stream, "store": False}
    if wish.system:
        body["instructions"] = wish.system
    if wish.tools:
        body["tools"] = [
            {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in wish.tools
        ]
    if wish.tool_choice.startswith("="):
        body["tool_choice"] = {"type": "function", "name": wish.tool_choice[1:]}
    elif wish.tool_choice:
        body["tool_choice"] = wish.tool_choice
    if wish.schema is not None:
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": wish.schema, "strict": True}}
    _set(body, max_output_tokens=wish.max_tokens, temperature=wish.temperature)
    return Request("/v1/responses", {**body, **wish.more})


_ANTHROPIC_CHOICES = {"none": "none", "auto": "auto", "required": "any"}


def messages(wish: Wish, model: str, *, stream: bool) -> Request:
    content: Any = wish.text
    if wish.image or wish.image_url:
        source = {"type": "base64", "media_type": "image/png", "data": wish.image}
        if wish.image_url:
            source = {"type": "url", "url": wish.image_url}
        content = [{"type": "text", "text": wish.text}, {"type": "image", "source": source}]
    turns: list[Body] = [{"role": "user", "content": content}]
    if wish.called:
        uses = wish.raw_turn or [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in wish.called
        ]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(wish.called, wish.results, strict=True)
        ]
        turns += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    body: Body = {"model": model, "messages": turns, "stream": stream, "max_tokens": wish.max_tokens or 1000}
    if wish.system:
        body["system"] = wish.system
    if wish.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters} for tool in wish.tools
        ]
    if wish.tool_choice.startswith("="):
        body["tool_choice"] = {"type": "tool", "name": wish.tool_choice[1:]}
    elif wish.tool_choice:
        body["tool_choice"] = {"type": _ANTHROPIC_CHOICES[wish.tool_choice]}
    if wish.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": wish.schema}}
    _set(body, temperature=wish.temperature)
    return Request("/v1/messages", {**body, **wish.more})


_GEMINI_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}


def gemini(wish: Wish, model: str, *, stream: bool, is_array: bool = False) -> Request:
    parts: list[Body] = [{"text": wish.text}]
    if wish.image:
        parts.append({"inlineData": {"mimeType": "image/png", "data": wish.image}})
    if wish.image_url:
        parts.append({"fileData": {"mimeType": "image/png", "fileUri": wish.image_url}})
    contents: list[Body] = [{"role": "user", "parts": parts}]
    if wish.called:
        calls = wish.raw_turn or [
            {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}, **call.extra}
            for call in wish.called
        ]
        results = [
            {"functionResponse": {"id": call.id, "name": call.name, "response": {"output": result}}}
            for call, result in zip(wish.called, wish.results, strict=True)
        ]
        contents += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]
    body: Body = {"contents": contents}
    if wish.system:
        body["systemInstruction"] = {"parts": [{"text": wish.system}]}
    if wish.tools:
        declared = [
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
            for tool in wish.tools
        ]
        body["tools"] = [{"functionDeclarations": declared}]
    if wish.tool_choice.startswith("="):
        named = {"mode": "ANY", "allowedFunctionNames": [wish.tool_choice[1:]]}
        body["toolConfig"] = {"functionCallingConfig": named}
    elif wish.tool_choice:
        body["toolConfig"] = {"functionCallingConfig": {"mode": _GEMINI_MODES[wish.tool_choice]}}
    config: Body = {}
    if wish.schema is not None:
        config = {"responseMimeType": "application/json", "responseJsonSchema": wish.schema}
    _set(config, maxOutputTokens=wish.max_tokens, temperature=wish.temperature)
    if config:
        body["generationConfig"] = config
    verb = "streamGenerateContent" if stream else "generateContent"
    query = "?alt=sse" if stream and not is_array else ""
    return Request(f"/v1beta/models/{model}:{verb}{query}", {**body, **wish.more})


def gemini_array(wish: Wish, model: str, *, stream: bool) -> Request:
    return gemini(wish, model, stream=stream, is_array=True)


def ollama(wish: Wish, model: str, *, stream: bool) -> Request:
    turns: list[Body] = [{"role": "system", "content": wish.system}] if wish.system else []
    turns.append({"role": "user", "content": wish.text})
    if wish.image:
        turns[-1]["images"] = [wish.image]
    if wish.called:
        calls = [{"function": {"name": call.name, "arguments": call.arguments}, **call.extra} for call in wish.called]
        turns.append({"role": "assistant", "content": "", "tool_calls": calls})
        turns += [
            {"role": "tool", "content": result, "tool_name": call.name}
            for call, result in zip(wish.called, wish.results, strict=True)
        ]
    body: Body = {"model": model, "messages": turns}
    if not stream:
        body["stream"] = False  # it streams unless told otherwise
    if wish.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in wish.tools
        ]
    if wish.schema is not None:
        body["format"] = wish.schema
    options: Body = {}
    _set(options, num_predict=wish.max_tokens, temperature=wish.temperature)
    if options:
        body["options"] = options
    return Request("/api/chat", {**body, **wish.more})


def generate(wish: Wish, model: str, *, stream: bool) -> Request:
    body: Body = {"model": model, "prompt": wish.text}
    if not stream:
        body["stream"] = False
    if wish.system:
        body["system"] = wish.system
    if wish.image:
        body["images"] = [wish.image]
    if wish.schema is not None:
        body["format"] = wish.schema
    options: Body = {}
    _set(options, num_predict=wish.max_tokens, temperature=wish.temperature)
    if options:
        body["options"] = options
    return Request("/api/generate", {**body, **wish.more})


def _set(body: Body, **members: Any) -> None:
    body.update({name: value for name, value in members.items() if value is not None})
