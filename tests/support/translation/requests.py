"""Requests of each dialect, built without the codecs of the gateway, as those are under test."""

import json
from typing import Any

from msgspec import Struct

from tests.support.translation.prompt import Prompt

Body = dict[str, Any]


class Request(Struct):
    path: str
    body: Body


def chat(prompt: Prompt, model: str, *, stream: bool) -> Request:
    body: Body = {"model": model, "messages": _chat_messages(prompt), "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if prompt.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in prompt.tools
        ]
    if prompt.tool_choice.startswith("="):
        body["tool_choice"] = {"type": "function", "function": {"name": prompt.tool_choice[1:]}}
    elif prompt.tool_choice:
        body["tool_choice"] = prompt.tool_choice
    if prompt.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": prompt.schema, "strict": True},
        }
    _set(body, max_tokens=prompt.max_tokens, temperature=prompt.temperature)
    return Request("/v1/chat/completions", {**body, **prompt.more})


def _chat_messages(prompt: Prompt) -> list[Body]:
    messages: list[Body] = [{"role": "system", "content": prompt.system}] if prompt.system else []
    content: Any = prompt.text
    if prompt.image or prompt.image_url:
        url = prompt.image_url or f"data:image/png;base64,{prompt.image}"
        content = [{"type": "text", "text": prompt.text}, {"type": "image_url", "image_url": {"url": url}}]
    messages.append({"role": "user", "content": content})
    if prompt.called:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                **call.extra,
            }
            for call in prompt.called
        ]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(prompt.called, prompt.results, strict=True)
        ]
    return messages


def completions(prompt: Prompt, model: str, *, stream: bool) -> Request:
    body: Body = {"model": model, "prompt": prompt.text, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    _set(body, max_tokens=prompt.max_tokens, temperature=prompt.temperature)
    return Request("/v1/completions", {**body, **prompt.more})


def responses(prompt: Prompt, model: str, *, stream: bool) -> Request:
    content: Any = prompt.text
    if prompt.image or prompt.image_url:
        url = prompt.image_url or f"data:image/png;base64,{prompt.image}"
        content = [{"type": "input_text", "text": prompt.text}, {"type": "input_image", "image_url": url}]
    items: list[Body] = [{"role": "user", "content": content}]
    if prompt.raw_turn is not None:
        items += prompt.raw_turn
    else:
        items += [
            {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": json.dumps(call.arguments)}
            for call in prompt.called
        ]
    items += [
        {"type": "function_call_output", "call_id": call.id, "output": result}
        for call, result in zip(prompt.called, prompt.results, strict=True)
    ]
    body: Body = {"model": model, "input": items, "stream": stream, "store": False}
    if prompt.system:
        body["instructions"] = prompt.system
    if prompt.tools:
        body["tools"] = [
            {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in prompt.tools
        ]
    if prompt.tool_choice.startswith("="):
        body["tool_choice"] = {"type": "function", "name": prompt.tool_choice[1:]}
    elif prompt.tool_choice:
        body["tool_choice"] = prompt.tool_choice
    if prompt.schema is not None:
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": prompt.schema, "strict": True}}
    _set(body, max_output_tokens=prompt.max_tokens, temperature=prompt.temperature)
    return Request("/v1/responses", {**body, **prompt.more})


_ANTHROPIC_CHOICES = {"none": "none", "auto": "auto", "required": "any"}


def messages(prompt: Prompt, model: str, *, stream: bool) -> Request:
    content: Any = prompt.text
    if prompt.image or prompt.image_url:
        source = {"type": "base64", "media_type": "image/png", "data": prompt.image}
        if prompt.image_url:
            source = {"type": "url", "url": prompt.image_url}
        content = [{"type": "text", "text": prompt.text}, {"type": "image", "source": source}]
    turns: list[Body] = [{"role": "user", "content": content}]
    if prompt.called:
        uses = prompt.raw_turn or [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in prompt.called
        ]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(prompt.called, prompt.results, strict=True)
        ]
        turns += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    body: Body = {"model": model, "messages": turns, "stream": stream, "max_tokens": prompt.max_tokens or 1000}
    if prompt.system:
        body["system"] = prompt.system
    if prompt.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in prompt.tools
        ]
    if prompt.tool_choice.startswith("="):
        body["tool_choice"] = {"type": "tool", "name": prompt.tool_choice[1:]}
    elif prompt.tool_choice:
        body["tool_choice"] = {"type": _ANTHROPIC_CHOICES[prompt.tool_choice]}
    if prompt.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": prompt.schema}}
    _set(body, temperature=prompt.temperature)
    return Request("/v1/messages", {**body, **prompt.more})


_GEMINI_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}


def gemini(prompt: Prompt, model: str, *, stream: bool, is_array: bool = False) -> Request:
    parts: list[Body] = [{"text": prompt.text}]
    if prompt.image:
        parts.append({"inlineData": {"mimeType": "image/png", "data": prompt.image}})
    if prompt.image_url:
        parts.append({"fileData": {"mimeType": "image/png", "fileUri": prompt.image_url}})
    contents: list[Body] = [{"role": "user", "parts": parts}]
    if prompt.called:
        calls = prompt.raw_turn or [
            {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}, **call.extra}
            for call in prompt.called
        ]
        results = [
            {"functionResponse": {"id": call.id, "name": call.name, "response": {"output": result}}}
            for call, result in zip(prompt.called, prompt.results, strict=True)
        ]
        contents += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]
    body: Body = {"contents": contents}
    if prompt.system:
        body["systemInstruction"] = {"parts": [{"text": prompt.system}]}
    if prompt.tools:
        declared = [
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
            for tool in prompt.tools
        ]
        body["tools"] = [{"functionDeclarations": declared}]
    if prompt.tool_choice.startswith("="):
        named = {"mode": "ANY", "allowedFunctionNames": [prompt.tool_choice[1:]]}
        body["toolConfig"] = {"functionCallingConfig": named}
    elif prompt.tool_choice:
        body["toolConfig"] = {"functionCallingConfig": {"mode": _GEMINI_MODES[prompt.tool_choice]}}
    config: Body = {}
    if prompt.schema is not None:
        config = {"responseMimeType": "application/json", "responseJsonSchema": prompt.schema}
    _set(config, maxOutputTokens=prompt.max_tokens, temperature=prompt.temperature)
    if config:
        body["generationConfig"] = config
    verb = "streamGenerateContent" if stream else "generateContent"
    query = "?alt=sse" if stream and not is_array else ""
    return Request(f"/v1beta/models/{model}:{verb}{query}", {**body, **prompt.more})


def gemini_array(prompt: Prompt, model: str, *, stream: bool) -> Request:
    return gemini(prompt, model, stream=stream, is_array=True)


def ollama(prompt: Prompt, model: str, *, stream: bool) -> Request:
    turns: list[Body] = [{"role": "system", "content": prompt.system}] if prompt.system else []
    turns.append({"role": "user", "content": prompt.text})
    if prompt.image:
        turns[-1]["images"] = [prompt.image]
    if prompt.called:
        calls = [{"function": {"name": call.name, "arguments": call.arguments}, **call.extra} for call in prompt.called]
        turns.append({"role": "assistant", "content": "", "tool_calls": calls})
        turns += [
            {"role": "tool", "content": result, "tool_name": call.name}
            for call, result in zip(prompt.called, prompt.results, strict=True)
        ]
    body: Body = {"model": model, "messages": turns}
    if not stream:
        body["stream"] = False  # Ollama streams by default
    if prompt.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in prompt.tools
        ]
    if prompt.schema is not None:
        body["format"] = prompt.schema
    options: Body = {}
    _set(options, num_predict=prompt.max_tokens, temperature=prompt.temperature)
    if options:
        body["options"] = options
    return Request("/api/chat", {**body, **prompt.more})


def generate(prompt: Prompt, model: str, *, stream: bool) -> Request:
    body: Body = {"model": model, "prompt": prompt.text}
    if not stream:
        body["stream"] = False
    if prompt.system:
        body["system"] = prompt.system
    if prompt.image:
        body["images"] = [prompt.image]
    if prompt.schema is not None:
        body["format"] = prompt.schema
    options: Body = {}
    _set(options, num_predict=prompt.max_tokens, temperature=prompt.temperature)
    if options:
        body["options"] = options
    return Request("/api/generate", {**body, **prompt.more})


def _set(body: Body, **members: Any) -> None:
    body.update({name: value for name, value in members.items() if value is not None})
