"""Information about models for Ollama's clients."""

import json

from intellirouter.dialects.ollama import ListedModel, ps, show, tags, version

FULL = ListedModel(
    name="qwen3:8b",
    modified_s=1772600767,
    size=5_000,
    family="qwen3",
    parameter_size="8.2B",
    quantization="Q4_K_M",
    context_tokens=40_960,
    capabilities=("completion", "tools"),
    expires_s=1772600800,
)
BARE = ListedModel(name="gpt")


def test_tags_lists_all_models():
    full, bare = json.loads(tags([FULL, BARE]))["models"]
    assert (full["name"], full["model"], full["modified_at"], full["size"]) == (
        "qwen3:8b",
        "qwen3:8b",
        "2026-03-04T05:06:07Z",
        5_000,
    )
    assert full["details"]["families"] == ["qwen3"]
    assert full["capabilities"] == ["completion", "tools"]
    assert len(bare["digest"]) == 64
    assert bare["digest"] != full["digest"]
    assert (bare["modified_at"], bare["details"]["families"]) == ("2025-01-01T00:00:00Z", [])


def test_ps_lists_loaded_models():
    full, bare = json.loads(ps([FULL, BARE]))["models"]
    assert (full["expires_at"], full["size_vram"], full["context_length"]) == ("2026-03-04T05:06:40Z", 5_000, 40_960)
    assert bare["expires_at"] == "9999-12-31T23:59:59Z"


def test_show_describes_one_model():
    full = json.loads(show(FULL))
    assert full["model_info"]["qwen3.context_length"] == 40_960
    assert full["capabilities"] == ["completion", "tools"]
    assert json.loads(show(BARE))["model_info"]["general.architecture"] == "unknown"


def test_version_is_returned():
    assert json.loads(version())["version"].count(".") == 2
    assert version("1.2.3") == b'{"version":"1.2.3"}'
