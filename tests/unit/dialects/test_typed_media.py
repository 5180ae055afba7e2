"""Media reach every upstream with the type that their bytes have, or are refused before the upstream is called."""

import base64
import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import LossReport, RequestContext
from intellirouter.core.errors import InvalidRequest, UnsupportedFeature
from intellirouter.dialects.adapt.typed_media import with_media_types
from intellirouter.dialects.ir import Conversation, Media, Message, Source, Text, ToolResult
from tests.support.dialects.pairs import BY_UPSTREAM, OTHERS, call_of, send
from tests.support.dialects.standard import ENDPOINTS

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(30)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(30)).decode()
PDF = base64.b64encode(b"%PDF-1.7" + bytes(30)).decode()
SVG = base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"/>').decode()
UNKNOWN = base64.b64encode(b"unknown" + bytes(30)).decode()
TYPED = [name for name in BY_UPSTREAM if name != "ollama"]
EXPECTED = {
    "openai_chat": "data:{type};base64",
    "openai_responses": "data:{type};base64",
    "anthropic_messages": '"media_type":"{type}"',
    "gemini": '"mimeType":"{type}"',
    "bedrock": '"format":"{subtype}"',
}


def _request(client: str, declared: str, data: str) -> dict[str, Any]:
    url = f"data:{declared};base64,{data}"
    if client == "openai_chat":
        content: list[Any] = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]
        return {"model": "m", "messages": [{"role": "user", "content": content}]}
    if client == "openai_responses":
        content = [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": url}]
        return {"model": "m", "input": [{"role": "user", "content": content}]}
    if client == "anthropic_messages":
        source = {"type": "base64", "media_type": declared, "data": data}
        content = [{"type": "text", "text": "x"}, {"type": "image", "source": source}]
        return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    parts = [{"text": "x"}, {"inlineData": {"mimeType": declared, "data": data}}]
    return {"contents": [{"role": "user", "parts": parts}]}


def _send(client: str, upstream: str, declared: str, data: str) -> Any:
    path = {"model": "m", "is_stream": False, "query": ""} if client == "gemini" else None
    call = call_of(client, {"body": _request(client, declared, data), "path": path})
    return send(call, client, {**BY_UPSTREAM, **OTHERS}[upstream])


COUNTERS = {
    "anthropic_messages": "anthropic_count_tokens",
    "gemini": "gemini_count_tokens",
    "openai_responses": "openai_input_tokens",
}


def _count(client: str, upstream: str, declared: str, data: str) -> dict[str, Any]:
    """Return the request with which an upstream counts the tokens of a client's request."""
    endpoint, target = ENDPOINTS[COUNTERS[client]], BY_UPSTREAM[upstream]
    body = json.dumps(_request(client, declared, data)).encode()
    call = endpoint.decode_request(body, RequestContext(model="m"))
    route = endpoint.route(call, target)
    assert not route.is_local
    sent: dict[str, Any] = json.loads(route.encode_request(call, target).body)
    return sent


@pytest.mark.parametrize(
    ("client", "upstream"),
    [(client, upstream) for client in COUNTERS for upstream in ("anthropic_messages", "gemini") if client != upstream],
)
@pytest.mark.parametrize(
    ("declared", "data", "media_type"),
    [("image/jpg", JPEG, "image/jpeg"), ("IMAGE/PNG", PNG, "image/png"), ("image/png", JPEG, "image/jpeg")],
)
def test_media_of_token_counts_have_the_types_of_the_request_itself(
    client: str, upstream: str, declared: str, data: str, media_type: str
) -> None:
    sent = _count(client, upstream, declared, data)
    assert EXPECTED[upstream].format(type=media_type) in json.dumps(sent, separators=(",", ":"))
    request = json.loads(_send(client, upstream, declared, data).request.body)
    written = sent.get("generateContentRequest", sent)
    members = "messages" if upstream == "anthropic_messages" else "contents"
    assert written[members] == request[members]


@pytest.mark.parametrize(("client", "upstream"), [("gemini", "anthropic_messages"), ("anthropic_messages", "gemini")])
def test_invalid_media_of_token_counts_are_refused_like_those_of_the_request(client: str, upstream: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _count(client, upstream, "image/png", "")
    assert caught.value.code == "invalid_base64"
    with pytest.raises(UnsupportedFeature):
        _count(client, upstream, "image/svg+xml", SVG)


def test_token_counts_fetch_the_urls_that_the_request_would() -> None:
    endpoint, target = ENDPOINTS["anthropic_count_tokens"], BY_UPSTREAM["gemini"]
    url = "https://pictures.test/a.png"
    content = [{"type": "image", "source": {"type": "url", "url": url}}]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    call = endpoint.decode_request(body, RequestContext())
    chat = ENDPOINTS["anthropic_messages"]
    request = chat.decode_request(body[:-1] + b', "max_tokens": 9}', RequestContext())
    urls = endpoint.route(call, target).media_urls(call, target)
    assert list(urls) == list(chat.route(request, target).media_urls(request, target))
    call.fetched = {url: ("image/png", PNG)}
    if urls:
        assert PNG in endpoint.route(call, target).encode_request(call, target).body.decode()
    assert not endpoint.route(call, target).media_urls(call, target)


CLIENTS = ["openai_chat", "openai_responses", "anthropic_messages", "gemini"]


@pytest.mark.parametrize("upstream", TYPED)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("declared", "data", "media_type"),
    [
        ("image/jpg", JPEG, "image/jpeg"),
        ("image/jpg", UNKNOWN, "image/jpeg"),
        ("IMAGE/PNG", PNG, "image/png"),
        ("image/png;charset=utf-8", PNG, "image/png"),
        ("image/jpeg", PNG, "image/png"),
        ("image/png", JPEG, "image/jpeg"),
    ],
)
def test_images_have_the_type_of_their_bytes(
    client: str, upstream: str, declared: str, data: str, media_type: str
) -> None:
    if client == upstream:
        return  # passed through
    sent = _send(client, upstream, declared, data)
    assert sent.request is not None
    expected = EXPECTED[upstream].format(type=media_type, subtype=media_type.partition("/")[2])
    assert expected in sent.request.body.decode().replace(" ", "")
    if data is not UNKNOWN and (declared, media_type) in {("image/jpeg", "image/png"), ("image/png", "image/jpeg")}:
        assert sent.losses["messages[].content[].media_type"] == "converted"


@pytest.mark.parametrize("upstream", TYPED)
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses"])
def test_an_image_without_a_type_gets_it_from_its_bytes(client: str, upstream: str) -> None:
    if client == upstream:
        return
    sent = _send(client, upstream, "", PNG)
    assert EXPECTED[upstream].format(type="image/png", subtype="png") in sent.request.body.decode()


@pytest.mark.parametrize("upstream", [*BY_UPSTREAM, "compatible", "gemini-3", "nova"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("declared", ["image/svg+xml", "image/png"])
def test_svg_is_refused(client: str, upstream: str, declared: str) -> None:
    target = {**BY_UPSTREAM, **OTHERS}[upstream]
    if client == target.dialects[0]:
        return
    sent = _send(client, upstream, declared, SVG)
    assert sent.request is None
    assert "image/svg+xml" in sent.refusal.message


@pytest.mark.parametrize("upstream", ["anthropic_messages", "bedrock", "openai_responses"])
def test_images_of_other_types_are_refused_where_the_types_are_known(upstream: str) -> None:
    sent = _send("openai_chat", upstream, "image/tiff", UNKNOWN)
    assert sent.request is None
    assert "image/gif, image/jpeg, image/png, image/webp" in sent.refusal.hint


def test_a_pdf_that_was_sent_as_an_image_becomes_a_document() -> None:
    sent = _send("openai_chat", "anthropic_messages", "application/pdf", PDF)
    assert json.loads(sent.request.body)["messages"][0]["content"][1]["type"] == "document"


def _typed(*parts: Any) -> Conversation:
    conversation = Conversation(dialect="gemini", model="m", messages=[Message(role="user", parts=list(parts))])
    before = structs.asdict(conversation)
    after = with_media_types(conversation, BY_UPSTREAM["bedrock"], None, LossReport())
    assert structs.asdict(conversation) == before
    return after if after is not conversation else conversation


def test_media_in_tool_results_get_their_type_too() -> None:
    media = Media(kind="image", source=Source(data=PNG, media_type="image/jpg"))
    (result,) = _typed(ToolResult(call_id="a", parts=[Text(text="x"), media])).messages[0].parts
    assert isinstance(result, ToolResult)
    assert isinstance(result.parts[1], Media)
    assert result.parts[1].source.media_type == "image/png"
    assert media.source.media_type == "image/jpg"


@pytest.mark.parametrize(
    "part",
    [
        Text(text="x"),
        Media(kind="image", source=Source(data=PNG, media_type="image/png")),
        Media(kind="image", source=Source(url="https://e.test/x.png")),
        Media(kind="document", source=Source(text="x", media_type="text/plain")),
    ],
)
def test_a_conversation_with_correct_types_is_the_same_object(part: Any) -> None:
    conversation = Conversation(dialect="gemini", model="m", messages=[Message(role="user", parts=[part])])
    assert with_media_types(conversation, BY_UPSTREAM["bedrock"], None, LossReport()) is conversation


@pytest.mark.parametrize(
    "written", [PNG[:20] + "\n" + PNG[20:], f" {PNG}", PNG.replace("+", "-").replace("/", "_").rstrip("=")]
)
def test_vendors_get_clean_base64(written: str) -> None:
    sent = _send("openai_chat", "anthropic_messages", "image/png", written)
    assert f'"data":"{PNG}"'.encode() in sent.request.body


@pytest.mark.parametrize(("data", "problem"), [("@@@@", "not valid base64"), ("", "empty")])
def test_media_that_cannot_be_decoded_are_refused(data: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        _send("openai_chat", "anthropic_messages", "image/png", data)


def _file(name: str, declared: str, content: bytes) -> dict[str, Any]:
    data = base64.b64encode(content).decode()
    file = {"filename": name, "file_data": f"data:{declared};base64,{data}" if declared else data}
    content_parts = [{"type": "file", "file": file}, {"type": "text", "text": "x"}]
    return {"model": "m", "messages": [{"role": "user", "content": content_parts}]}


@pytest.mark.parametrize(
    ("name", "declared", "content", "media_type"),
    [
        ("a.py", "application/octet-stream", b"print('hi')", "text/plain"),
        ("a.py", "", b"print('hi')", "text/plain"),
        ("", "", b"hello", "text/plain"),
        ("a.csv", "application/octet-stream", b"a,b", "text/csv"),
        ("a.bin", "application/octet-stream", b"%PDF-1.7 \xff\x00", "application/pdf"),
        (
            "a.docx",
            "",
            b"PK\x03\x04\x00\xff",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
    ],
)
def test_a_document_without_a_type_gets_that_of_its_content(
    name: str, declared: str, content: bytes, media_type: str
) -> None:
    sent = send(call_of("openai_chat", {"body": _file(name, declared, content)}), "openai_chat", BY_UPSTREAM["gemini"])
    assert sent.request is not None
    assert json.loads(sent.request.body)["contents"][0]["parts"][0]["inlineData"]["mimeType"] == media_type


@pytest.mark.parametrize("declared", ["text/plain", "application/json", "text/x-python", "application/yaml"])
@pytest.mark.parametrize("upstream", ["ollama", "bedrock", "anthropic_messages"])
def test_text_documents_are_sent_to_every_upstream(upstream: str, declared: str) -> None:
    body = {"body": _file("a.txt", declared, b"what it says")}
    sent = send(call_of("openai_chat", body), "openai_chat", BY_UPSTREAM[upstream])
    assert sent.request is not None, sent.refusal
    text = sent.request.body.decode()
    assert "what it says" in text or base64.b64encode(b"what it says").decode() in text
    if upstream == "ollama":
        assert json.loads(text)["messages"][0]["content"] == "a.txt\n\nwhat it says\nx"
        assert sent.losses["messages[].content[].document"] == "converted"


def test_a_document_that_is_not_text_is_still_refused() -> None:
    body = {"body": _file("a.txt", "text/plain", b"\xff\xfe\x00")}
    assert send(call_of("openai_chat", body), "openai_chat", BY_UPSTREAM["ollama"]).refusal is not None
