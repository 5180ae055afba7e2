"""Paths have one spelling."""

import pytest

from intellirouter.dialects import DIALECTS, build_dialects
from intellirouter.gateway.paths import canonical_path, is_canonical, is_control, without_extra_base

SPELLINGS = [
    "//v1/models",
    "/v1//models",
    "/v1/models/",
    "/v1/models//",
    "/./v1/models",
    "/v1/./models",
    "/v1/models/.",
    "/v1/x/../models",
    "/../v1/models",
    "/../../v1/models",
]


@pytest.mark.parametrize("path", SPELLINGS)
def test_other_spelling_is_recognized(path: str) -> None:
    assert not is_canonical(path)
    assert canonical_path(path) == "/v1/models"


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/models/.hidden", "/v1/models/a..b", "/v1/models/..."])
def test_usual_path_is_its_own_canonical_path(path: str) -> None:
    assert is_canonical(path)
    assert canonical_path(path) == path


def test_encoded_slash_is_another_spelling_of_a_slash_in_messages_only() -> None:
    assert is_canonical("/v1/models/a%2Fb")
    assert canonical_path("/v1%2Fmodels%2f") == "/v1/models"


def test_control_plane_serves_canonical_paths_only() -> None:
    dialects = build_dialects(DIALECTS)
    assert is_control("/api/v1/health", dialects)
    for path in ("/api/v1/health/", "/api//v1/health", "/api/../v1/models", "/api/chat", "/api/docs", "/api/docs/"):
        assert not is_control(path, dialects)
    for path in ("/api/delete", "/api/copy", "/api/push", "/api/blobs/sha256:0", "/api/v1", "/api/vanished"):
        assert not is_control(path, dialects), "the error has the format of Ollama's clients"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/v1/messages", "/v1/messages"),
        ("/v1/v1/v1/messages", "/v1/messages"),
        ("/v1beta/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
        ("/v1/v1beta/models", "/v1beta/models"),
        ("/v1beta/v1/models", "/v1/models"),
        ("/v1/api/chat", "/api/chat"),
        ("/api/api/chat", "/api/chat"),
        ("/openai/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/api/v1/health", "/api/v1/health"),
        ("/v1/v1", "/v1/v1"),
        ("/v1/models/v1/x", "/v1/models/v1/x"),
    ],
)
def test_extra_base_is_recognized(path: str, expected: str) -> None:
    assert without_extra_base(path) == expected
