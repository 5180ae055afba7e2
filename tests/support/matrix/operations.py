"""Operations without streams: embeddings, reranking, moderation, images and audio."""

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tests.support.translation.prompt import ParsedAnswer

BOUNDARY = "matrix"
UPSTREAMS_WITH_EMBEDDINGS = ("media", "gemini", "ollama")


class Operation(Struct, frozen=True):
    """A request, and what a client expects in the answer."""

    path: str
    members: Callable[[str], dict[str, Any]]
    """The members of the request, apart from the model. They contain the text."""
    is_right: Callable[[bytes], bool]
    """Whether a body is a usable answer. May raise `ValueError`, `KeyError` or `IndexError`."""
    is_form: bool = False

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={BOUNDARY}" if self.is_form else "application/json"

    def body(self, text: str, model: str) -> bytes:
        document = {"model": model, **self.members(text)}
        return _form(document) if self.is_form else json.dumps(document).encode()

    def parse(self, body: bytes) -> ParsedAnswer:
        """Return whether the answer is complete, and the error."""
        if body.startswith(b"{") and "error" in (document := json.loads(body)):
            assert set(document["error"]) >= {"message", "type", "param", "code"}
            return ParsedAnswer(error=document["error"]["message"], error_code=document["error"]["code"])
        return ParsedAnswer(is_complete=self.is_right(body))


def _form(members: dict[str, Any]) -> bytes:
    parts = [f'name="{name}"\r\n\r\n{value}' for name, value in members.items()]
    parts.append('name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\nRIFF')
    lines = "".join(f"--{BOUNDARY}\r\ncontent-disposition: form-data; {part}\r\n" for part in parts)
    return f"{lines}--{BOUNDARY}--\r\n".encode()


OPERATIONS: dict[str, Operation] = {
    "embeddings": Operation(
        "/v1/embeddings",
        lambda text: {"input": text},
        lambda body: len(json.loads(body)["data"][0]["embedding"]) > 0,
    ),
    "rerank": Operation(
        "/v1/rerank",
        lambda text: {"query": text, "documents": ["one two", "three"]},
        lambda body: {each["index"] for each in json.loads(body)["results"]} == {0, 1},
    ),
    "moderations": Operation(
        "/v1/moderations", lambda text: {"input": text}, lambda body: "flagged" in json.loads(body)["results"][0]
    ),
    "images": Operation(
        "/v1/images/generations",
        lambda text: {"prompt": text},
        lambda body: bool(json.loads(body)["data"][0]),
    ),
    "speech": Operation("/v1/audio/speech", lambda text: {"input": text, "voice": "alloy"}, lambda body: len(body) > 0),
    "transcription": Operation(
        "/v1/audio/transcriptions", lambda text: {"prompt": text}, lambda body: bool(json.loads(body)["text"]), True
    ),
}
