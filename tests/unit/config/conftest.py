from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intellirouter.config import (
    ConfigError,
    ConfigProblem,
    LoadedConfig,
    Runtime,
    SecretSources,
    compile_config,
    load_config,
)
from intellirouter.core import VendorRow

ROWS = (
    VendorRow(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.example/v1",
        credential_env=("OPENAI_API_KEY",),
        default_models=("small-1", "large-1"),
    ),
    VendorRow(
        name="gemini",
        title="Gemini",
        base_url="https://gemini.example/v1",
        credential_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        default_models=("flash-1", "small-1"),
    ),
    VendorRow(name="groq", title="Groq", base_url="https://groq.example/v1", credential_env=("GROQ_API_KEY",)),
    VendorRow(name="anthropic", title="Anthropic", base_url="https://a.example", credential_env=("ANTHROPIC_API_KEY",)),
    VendorRow(
        name="ollama",
        title="Ollama",
        base_url="http://127.0.0.1:11434/v1",
        needs_credential=False,
        local_port=11434,
    ),
    VendorRow(
        name="llamacpp", title="llama.cpp", base_url="http://127.0.0.1:8080/v1", needs_credential=False, local_port=8080
    ),
    VendorRow(name="openai-compatible", title="Any", needs_credential=False),
    VendorRow(
        name="regional",
        title="Regional",
        base_url="https://models.{region}.example",
        base_url_hint="https://models.REGION.example",
        credential_env=("R_TOKEN", "R_ID+R_SECRET"),
    ),
    VendorRow(name="tenant", title="Tenant", base_url_hint="https://TENANT.example/v1", credential_env=("T_KEY",)),
    VendorRow(name="host", transport="host", title="Host", needs_credential=False),
    VendorRow(name="fake", title="Fake", transport="host", needs_credential=False),
    VendorRow(name="magic", title="Magic", transport="fake", needs_credential=False),
)
VENDORS = {row.name: row for row in ROWS}
STRATEGIES = ("priority", "round_robin", "weighted", "least_busy", "power_of_two", "latency", "cost")

Load = Callable[..., LoadedConfig]
Compile = Callable[..., Runtime]


@pytest.fixture
def vendors() -> dict[str, VendorRow]:
    return dict(VENDORS)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load text as a file, with an empty environment unless one is given."""

    def load_text(text: str = "", *, name: str = "config.yaml", **options: Any) -> LoadedConfig:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return load_config(path, **{"environ": {}, **options})

    return load_text


@pytest.fixture
def problems_of(load: Load) -> Callable[..., list[ConfigProblem]]:
    def problems(text: str = "", **options: Any) -> list[ConfigProblem]:
        with pytest.raises(ConfigError) as caught:
            load(text, **options)
        return caught.value.problems

    return problems


@pytest.fixture
def compile_text(load: Load) -> Compile:
    def compiled(text: str, *, environ: dict[str, str] | None = None, stored: Any = None) -> Runtime:
        loaded = load(text)
        return compile_config(
            loaded.config,
            vendors=VENDORS,
            strategies=STRATEGIES,
            origins=loaded.origins,
            secrets=SecretSources(environ or {}, stored),
        )

    return compiled


@pytest.fixture
def compile_problems(compile_text: Compile) -> Callable[..., list[ConfigProblem]]:
    def problems(text: str, **options: Any) -> list[ConfigProblem]:
        with pytest.raises(ConfigError) as caught:
            compile_text(text, **options)
        return caught.value.problems

    return problems
