"""OpenAI-compatible model servers on the operator's own hardware.

Several of them share a default port. Discovery probes each port once and reports the first vendor that has it.
"""

from typing import Final

from intellirouter.core import Quirks, VendorRow

_NO_DEVELOPER: Final = Quirks(renames=(("max_completion_tokens", "max_tokens"),))


def _local(name: str, title: str, address: str, docs: str, **facts: object) -> VendorRow:
    known: dict[str, object] = {
        "base_url": address,
        "base_url_hint": address,
        "needs_credential": False,
        "is_free": True,
        "quirks": _NO_DEVELOPER,
    }
    return VendorRow(name=name, title=title, docs=docs, **{**known, **facts})  # type: ignore[arg-type]


LOCAL: Final = (
    _local(
        "vllm",
        "vLLM",
        "http://127.0.0.1:8000/v1",
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        local_port=8000,
        quirks=Quirks(has_developer_role=True),
    ),
    _local(
        "llamacpp",
        "llama.cpp server",
        "http://127.0.0.1:8080/v1",
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        local_port=8080,
        quirks=Quirks(),
    ),
    _local(
        "lmstudio",
        "LM Studio",
        "http://127.0.0.1:1234/v1",
        "https://lmstudio.ai/docs/developer/openai-compat",
        local_port=1234,
    ),
    _local(
        "sglang",
        "SGLang",
        "http://127.0.0.1:30000/v1",
        "https://docs.sglang.ai/basic_usage/openai_api_completions.html",
        local_port=30000,
    ),
    _local(
        "tgi",
        "Text Generation Inference",
        "http://127.0.0.1:3000/v1",
        "https://huggingface.co/docs/text-generation-inference/en/reference/api_reference",
        local_port=3000,
        operations=frozenset({"chat", "completions"}),
    ),
    _local("localai", "LocalAI", "http://127.0.0.1:8080/v1", "https://localai.io/features/"),
    _local(
        "mlc",
        "MLC LLM",
        "http://127.0.0.1:8000/v1",
        "https://llm.mlc.ai/docs/deploy/rest.html",
        operations=frozenset({"chat", "completions"}),
    ),
    _local(
        "mlx",
        "MLX LM server",
        "http://127.0.0.1:8080/v1",
        "https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/SERVER.md",
        operations=frozenset({"chat", "completions"}),
        quirks=Quirks(
            renames=(("max_completion_tokens", "max_tokens"),), reasoning_field="reasoning", structured_output="none"
        ),
    ),
    _local("jan", "Jan", "http://127.0.0.1:1337/v1", "https://jan.ai/docs/api-server", local_port=1337),
    _local(
        "koboldcpp",
        "KoboldCpp",
        "http://127.0.0.1:5001/v1",
        "https://github.com/LostRuins/koboldcpp/wiki",
        local_port=5001,
    ),
    _local(
        "tabbyapi",
        "TabbyAPI",
        "http://127.0.0.1:5000/v1",
        "https://github.com/theroyallab/tabbyAPI/wiki",
        local_port=5000,
    ),
    _local(
        "xinference",
        "Xinference",
        "http://127.0.0.1:9997/v1",
        "https://inference.readthedocs.io/en/latest/user_guide/client_api.html",
        local_port=9997,
    ),
)
