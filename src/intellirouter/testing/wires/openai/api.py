"""OpenAI's API: authentication, and which path leads to which endpoint."""

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from intellirouter.fake.openai.answer import answer
from intellirouter.fake.openai.replies import OpenAiError, not_allowed, not_found
from intellirouter.fake.reply import Reply, RequestRejected
from intellirouter.testing.wires.openai.audio import audio
from intellirouter.testing.wires.openai.batches import Batches
from intellirouter.testing.wires.openai.completions import completions
from intellirouter.testing.wires.openai.files import Files
from intellirouter.testing.wires.openai.images import images
from intellirouter.testing.wires.openai.models import describe_model, list_models
from intellirouter.testing.wires.openai.moderations import moderations
from intellirouter.testing.wires.openai.realtime import client_secrets
from intellirouter.testing.wires.openai.rerank import PATHS, rerank
from intellirouter.testing.wires.openai.responses_api import Responses
from intellirouter.testing.wires.shared.request import WireRequest

MODELS: Final = ("mock-large", "mock-small", "mock-embed")
ANSWERED: Final = frozenset({"/chat/completions", "/embeddings"})
Endpoint = Callable[[WireRequest, str], Reply | None]
"""Part of the API: answers a request below `/v1`, or returns None if the path is not one of its paths."""


class OpenAiApi:
    """Answers requests below `/v1`."""

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = api_key
        self._responses = Responses()
        self._files = Files()
        self._batches = Batches(self._files, self.answer_below)
        self._endpoints: list[Endpoint] = [
            self._responses.answer,
            _models,
            completions,
            moderations,
            images,
            audio,
            self._files.answer,
            self._batches.answer,
            rerank,
            client_secrets,
        ]

    def reset(self) -> None:
        """Delete all stored state."""
        for part in (self._responses, self._files, self._batches):
            part.clear()

    def answer(self, request: WireRequest) -> Reply:
        """Never raises: errors are returned as replies."""
        try:
            if self._api_key is not None:
                _authenticate(request.key, self._api_key)
            return self.answer_below(request, request.path.removeprefix("/v1"))
        except RequestRejected as error:
            return error.reply()

    def answer_below(self, request: WireRequest, path: str) -> Reply:
        """Answer `path`, which is relative to `/v1`. Raises `RequestRejected`."""
        if path in ANSWERED:
            if request.method != "POST":
                raise not_allowed(request.method, request.path)
            request.model, reply = answer(path, request.body, created_s=request.created_s)
            return reply
        if path != request.path or path in PATHS:
            for endpoint in self._endpoints:
                found = endpoint(request, path)
                if found is not None:
                    return found
        raise not_found(request.method, request.path)


def _authenticate(given: str, wanted: str) -> None:
    if not given:
        raise OpenAiError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using "
            "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    if given != wanted:
        raise OpenAiError(401, f"Incorrect API key provided: {given[:3]}***.", code="invalid_api_key")


def _models(request: WireRequest, path: str) -> Reply | None:
    if path != "/models" and not path.startswith("/models/"):
        return None
    if request.method != "GET":
        raise not_allowed(request.method, request.path)
    name = unquote(path.removeprefix("/models").removeprefix("/"))
    return describe_model(name) if name else list_models(MODELS)
