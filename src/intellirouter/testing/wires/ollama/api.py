"""Ollama's API: authentication, and which path leads to which endpoint."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from intellirouter.fake.embedding import embed_text
from intellirouter.fake.models import ECHO, ModelBehavior, find_behavior
from intellirouter.fake.planner import plan_completion
from intellirouter.fake.reply import Reply, RequestRejected, json_object
from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.ollama.render import completion_reply, loaded_reply
from intellirouter.testing.wires.ollama.reply import OllamaError, PlainError, json_reply, wrong_kind
from intellirouter.testing.wires.ollama.request import OllamaRequest, parse_chat, parse_generate
from intellirouter.testing.wires.shared.request import WireRequest

MODELS: Final = ("mock-large:latest", "mock-small:latest", "mock-embed:latest")
VERSION: Final = "0.12.10"
DIMENSIONS: Final = 768
_TIME: Final = "2026-01-01T00:00:00.000000000Z"
_SIZE_BYTES: Final = 4_000_000_000
_MODEL_PATHS: Final = ("chat", "generate", "embed", "embeddings", "show")


class OllamaApi:
    """Answers requests below `/api`."""

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = api_key

    def reset(self) -> None:
        """Do nothing: there is no stored state."""

    def answer(self, request: WireRequest) -> Reply:
        """Never raises: errors are returned as replies."""
        try:
            if self._api_key is not None and request.key != self._api_key:
                raise OllamaError(401, "unauthorized")
            return _answer(request)
        except RequestRejected as error:
            return error.reply()


def _answer(request: WireRequest) -> Reply:
    what = request.path.removeprefix("/api/")
    if what in _MODEL_PATHS:
        return _answer_model(request, what)
    listed = _LISTS.get(what)
    if listed is None:
        raise PlainError(404, "404 page not found")
    if request.method not in ("GET", "HEAD"):
        raise PlainError(405, "405 method not allowed")
    return json_reply(listed())


def _answer_model(request: WireRequest, what: str) -> Reply:
    if request.method != "POST":
        raise PlainError(405, "405 method not allowed")
    document = json_object(request.body)
    if document is None:
        raise OllamaError(400, "missing request body" if not request.body else "invalid character in JSON body")
    name = document.get("model") or document.get("name") or ""
    if not isinstance(name, str):
        raise wrong_kind("ChatRequest.model", "string", name)
    if not name:
        raise OllamaError(400, "model is required")
    request.model = name
    behavior = find_behavior(name) or ECHO
    if name.startswith("no-such-"):
        raise OllamaError(404, f"model '{name}' not found")
    match what:
        case "chat":
            return _generate(parse_chat(name, document), behavior, request.created_s)
        case "generate":
            return _generate(parse_generate(name, document), behavior, request.created_s)
        case "show":
            return json_reply(_model_details(name))
        case _:
            return _embed(name, document, is_old=what == "embeddings")


def _generate(request: OllamaRequest, behavior: ModelBehavior, created_s: int) -> Reply:
    if behavior.is_embedding_only:
        raise OllamaError(400, f'"{request.model}" does not support {"chat" if request.is_chat else "generate"}')
    render = loaded_reply if request.only_loads else completion_reply
    return render(request, plan_completion(request, behavior, created_s=created_s))


def _embed(name: str, document: dict[str, Any], *, is_old: bool) -> Reply:
    if is_old:
        prompt = document.get("prompt") or ""
        if not isinstance(prompt, str):
            raise wrong_kind("EmbeddingRequest.prompt", "string", prompt)
        return json_reply({"embedding": embed_text(prompt, DIMENSIONS) if prompt else []})
    inputs = document.get("input")
    inputs = [inputs] if isinstance(inputs, str) else inputs or []
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise OllamaError(400, "invalid input type")
    dimensions = document.get("dimensions") or DIMENSIONS
    if not isinstance(dimensions, int):
        raise wrong_kind("EmbedRequest.dimensions", "int", dimensions)
    return json_reply(
        {
            "model": name,
            "embeddings": [embed_text(text, dimensions) for text in inputs],
            "total_duration": 2_000_000,
            "load_duration": 1_000_000,
            "prompt_eval_count": sum(count_tokens(text) for text in inputs),
        }
    )


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "mock",
        "families": ["mock"],
        "parameter_size": "8.0B",
        "quantization_level": "Q4_K_M",
    }


def _model_entry(name: str) -> dict[str, Any]:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"name": name, "model": name, "size": _SIZE_BYTES, "digest": digest, "details": _details()}


def _tags() -> dict[str, Any]:
    return {"models": [{**_model_entry(name), "modified_at": _TIME} for name in MODELS]}


def _ps() -> dict[str, Any]:
    running = {"expires_at": _TIME, "size_vram": _SIZE_BYTES, "context_length": 8192}
    return {"models": [{**_model_entry(name), **running} for name in MODELS[:1]]}


def _model_details(name: str) -> dict[str, Any]:
    embeds = "embed" in name
    info = {"general.architecture": "mock", "mock.context_length": 8192, "mock.embedding_length": DIMENSIONS}
    return {
        "modelfile": f"FROM {name}\n",
        "parameters": "num_ctx 8192",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": info,
        "capabilities": ["embedding"] if embeds else ["completion", "tools", "thinking", "vision"],
        "modified_at": _TIME,
    }


_LISTS: Final[dict[str, Callable[[], Any]]] = {"tags": _tags, "ps": _ps, "version": lambda: {"version": VERSION}}
