"""The vendors, as data. An OpenAI-compatible vendor is one row; code is written only where a protocol demands it.

Base URLs and environment names are from the vendors' public documentation.
"""

from typing import Final

from intellirouter.core import VendorRow

_ROWS: Final = (
    VendorRow(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        credential_env=("OPENAI_API_KEY",),
        price_provider="openai",
        default_models=("gpt-4o-mini", "gpt-4.1"),
    ),
    VendorRow(
        name="anthropic",
        title="Anthropic (its OpenAI-compatible endpoint)",
        base_url="https://api.anthropic.com/v1",
        credential_env=("ANTHROPIC_API_KEY",),
        price_provider="anthropic",
        default_models=("claude-haiku-4-5", "claude-sonnet-4-5"),
    ),
    VendorRow(
        name="gemini",
        title="Google Gemini (its OpenAI-compatible endpoint)",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        credential_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        price_provider="google",
        default_models=("gemini-2.5-flash", "gemini-2.5-pro"),
    ),
    VendorRow(
        name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        credential_env=("GROQ_API_KEY",),
        price_provider="groq",
        default_models=("llama-3.1-8b-instant", "llama-3.3-70b-versatile"),
    ),
    VendorRow(
        name="mistral",
        title="Mistral",
        base_url="https://api.mistral.ai/v1",
        credential_env=("MISTRAL_API_KEY",),
        price_provider="mistral",
        default_models=("mistral-small-latest", "mistral-large-latest"),
    ),
    VendorRow(
        name="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        credential_env=("DEEPSEEK_API_KEY",),
        price_provider="deepseek",
        default_models=("deepseek-chat", "deepseek-reasoner"),
    ),
    VendorRow(
        name="xai",
        title="xAI",
        base_url="https://api.x.ai/v1",
        credential_env=("XAI_API_KEY",),
        price_provider="x-ai",
        default_models=("grok-3-mini", "grok-4"),
    ),
    VendorRow(
        name="together",
        title="Together AI",
        base_url="https://api.together.xyz/v1",
        credential_env=("TOGETHER_API_KEY",),
        price_provider="together",
    ),
    VendorRow(
        name="fireworks",
        title="Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        credential_env=("FIREWORKS_API_KEY",),
        price_provider="fireworks",
    ),
    VendorRow(
        name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        credential_env=("OPENROUTER_API_KEY",),
        price_provider="openrouter",
    ),
    VendorRow(
        name="cerebras",
        title="Cerebras",
        base_url="https://api.cerebras.ai/v1",
        credential_env=("CEREBRAS_API_KEY",),
        price_provider="cerebras",
    ),
    VendorRow(
        name="ollama",
        title="Ollama",
        base_url="http://127.0.0.1:11434/v1",
        needs_credential=False,
        local_port=11434,
        is_free=True,
    ),
    VendorRow(
        name="vllm",
        title="vLLM",
        base_url="http://127.0.0.1:8000/v1",
        needs_credential=False,
        local_port=8000,
        is_free=True,
    ),
    VendorRow(
        name="llamacpp",
        title="llama.cpp server",
        base_url="http://127.0.0.1:8080/v1",
        needs_credential=False,
        local_port=8080,
        is_free=True,
    ),
    VendorRow(
        name="lmstudio",
        title="LM Studio",
        base_url="http://127.0.0.1:1234/v1",
        needs_credential=False,
        local_port=1234,
        is_free=True,
    ),
    VendorRow(name="openai-compatible", title="Any OpenAI-compatible endpoint", needs_credential=False),
    VendorRow(name="host", title="Our own Model Host", transport="host", needs_credential=False, is_free=True),
    VendorRow(name="fake", title="Magic models for tests", transport="fake", needs_credential=False, is_free=True),
)

VENDORS: Final[dict[str, VendorRow]] = {row.name: row for row in _ROWS}
