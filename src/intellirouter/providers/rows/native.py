"""Vendors with a protocol or an authentication scheme of their own."""

from typing import Final

from intellirouter.core import Quirks, VendorRow

_OPENAI: Final = Quirks(has_developer_role=True)

NATIVE: Final = (
    VendorRow(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        dialects=("openai_chat", "openai_responses"),
        operations=frozenset({"chat", "completions", "embeddings", "moderations", "images", "audio", "realtime"}),
        quirks=_OPENAI,
        credential_env=("OPENAI_API_KEY",),
        price_provider="openai",
        default_models=("gpt-4o-mini", "gpt-4.1"),
        docs="https://platform.openai.com/docs/api-reference",
    ),
    VendorRow(
        name="anthropic",
        title="Anthropic",
        base_url="https://api.anthropic.com",
        dialects=("anthropic_messages",),
        operations=frozenset({"chat", "count_tokens"}),
        auth="x-api-key",
        credential_env=("ANTHROPIC_API_KEY",),
        price_provider="anthropic",
        default_models=("claude-haiku-4-5", "claude-sonnet-4-5"),
        docs="https://docs.anthropic.com/en/api/messages",
    ),
    VendorRow(
        name="gemini",
        title="Google Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        dialects=("gemini",),
        operations=frozenset({"chat", "embeddings", "count_tokens"}),
        auth="x-goog-api-key",
        credential_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        price_provider="google",
        default_models=("gemini-2.5-flash", "gemini-2.5-pro"),
        docs="https://ai.google.dev/api",
    ),
    VendorRow(
        name="vertex",
        title="Google Vertex AI",
        base_url_hint=(
            "https://LOCATION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION/publishers/google"
        ),
        dialects=("gemini",),
        operations=frozenset({"chat", "embeddings", "count_tokens"}),
        auth="gcp",
        credential_env=("GOOGLE_VERTEX_CREDENTIALS",),
        price_provider="google",
        docs="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
    ),
    VendorRow(
        name="azure",
        title="Azure OpenAI",
        base_url_hint="https://RESOURCE.openai.azure.com/openai/v1",
        dialects=("openai_chat", "openai_responses"),
        operations=frozenset({"chat", "completions", "embeddings", "images", "audio", "realtime"}),
        auth="api-key",
        quirks=_OPENAI,
        credential_env=("AZURE_OPENAI_API_KEY",),
        price_provider="azure",
        docs="https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle",
    ),
    VendorRow(
        name="bedrock",
        title="Amazon Bedrock",
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        base_url_hint="https://bedrock-runtime.REGION.amazonaws.com",
        dialects=("bedrock",),
        operations=frozenset({"chat"}),
        auth="sigv4",
        credential_env=(
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_ACCESS_KEY_ID+AWS_SECRET_ACCESS_KEY+AWS_SESSION_TOKEN",
            "AWS_ACCESS_KEY_ID+AWS_SECRET_ACCESS_KEY",
        ),
        price_provider="aws",
        docs="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
    ),
    VendorRow(
        name="ollama",
        title="Ollama",
        base_url="http://127.0.0.1:11434",
        dialects=("ollama",),
        operations=frozenset({"chat", "embeddings"}),
        needs_credential=False,
        local_port=11434,
        is_free=True,
        docs="https://github.com/ollama/ollama/blob/main/docs/api.md",
    ),
)
