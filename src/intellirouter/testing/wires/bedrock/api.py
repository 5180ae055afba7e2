"""Bedrock's runtime API: `converse` and `converse-stream`."""

import re
from typing import Final
from urllib.parse import unquote

from intellirouter.fake.models import ECHO, find_behavior
from intellirouter.fake.planner import plan_completion
from intellirouter.fake.reply import Reply, RequestRejected, json_object
from intellirouter.testing.wires.bedrock.render import converse_reply
from intellirouter.testing.wires.bedrock.reply import BedrockError
from intellirouter.testing.wires.bedrock.request import parse_converse
from intellirouter.testing.wires.bedrock.signature import check_signature
from intellirouter.testing.wires.shared.prompt_cache import PromptCache
from intellirouter.testing.wires.shared.request import WireRequest

_PATH: Final = re.compile(r"/model/(?P<model>.+)/(?P<how>converse|converse-stream)")


class BedrockApi:
    """Answers requests below `/model`."""

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = api_key
        self._cache = PromptCache()

    def reset(self) -> None:
        self._cache.clear()

    def answer(self, request: WireRequest) -> Reply:
        """Never raises: errors are returned as replies."""
        try:
            self._authenticate(request)
            return self._answer(request)
        except RequestRejected as error:
            return error.reply()

    def _authenticate(self, request: WireRequest) -> None:
        if not request.headers.get("authorization"):
            raise BedrockError("Missing Authentication Token", status=403, name="MissingAuthenticationTokenException")
        if not request.key:
            check_signature(request)
        elif self._api_key not in (None, request.key):
            raise BedrockError(
                "Authentication failed: Please make sure your API Key is valid.",
                status=403,
                name="AccessDeniedException",
            )

    def _answer(self, request: WireRequest) -> Reply:
        place = _PATH.fullmatch(request.path)
        if place is None or request.method != "POST":
            raise BedrockError(
                "Unable to determine service/operation name to be authorized",
                name="UnknownOperationException",
                status=404,
            )
        model = request.model = unquote(place["model"])
        behavior = find_behavior(model) or ECHO
        if model.startswith("no-such-") or behavior.is_embedding_only:
            raise BedrockError("The provided model identifier is invalid.")
        document = json_object(request.body)
        if document is None:
            raise BedrockError("The request body is not a JSON object.", name="SerializationException")
        parsed = parse_converse(model, document)
        use = self._cache.use(model, parsed.pieces)
        parsed.cached_tokens, parsed.cache_write_tokens = use.read, use.written
        plan = plan_completion(parsed, behavior, created_s=request.created_s)
        return converse_reply(parsed, plan, is_stream=place["how"] == "converse-stream")
