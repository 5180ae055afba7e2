"""The default embedder, with the table of the extra."""

import subprocess
import sys
from importlib import util

import pytest

pytest.importorskip("tokenizers", reason="the extra `semantic` is not installed")

import numpy as np

from intellirouter.cache.semantic import static_table
from intellirouter.cache.semantic.reading import read_text
from intellirouter.cache.semantic.static_table import StaticTableEmbedder, load_static_table


@pytest.fixture(scope="module")
def embedder() -> StaticTableEmbedder:
    return load_static_table()


def cosine(embedder: StaticTableEmbedder, one: str, other: str) -> float:
    mine, others = embedder.embed(one), embedder.embed(other)
    assert mine is not None
    assert others is not None
    return float(mine @ others)


def test_vectors_have_length_one(embedder: StaticTableEmbedder) -> None:
    vector = embedder.embed("What is the capital of Chile?")
    assert vector is not None
    assert vector.shape == (embedder.dimensions,) == (256,)
    assert vector.dtype == np.float32
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)
    assert embedder.name.startswith("wordllama ")


def test_similar_texts_are_closer_than_others(embedder: StaticTableEmbedder) -> None:
    text = "How do I reverse a list in Python?"
    assert (
        cosine(embedder, text, "Reverse a Python list") > cosine(embedder, text, "How do I bake bread at home?") + 0.2
    )


def test_rewrites_have_the_same_canonical_vector(embedder: StaticTableEmbedder) -> None:
    one, other = (
        read_text(text).canonical_text for text in ("What is rain made of?", "Hi, what's rain made of? Thanks!")
    )
    assert cosine(embedder, one, other) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("text", ["", "🜁🜂", "\x00", "ﷺ" * 50, "a" * 100_000])
def test_unusual_texts_do_no_harm(embedder: StaticTableEmbedder, text: str) -> None:
    vector = embedder.embed(text)
    assert vector is None or bool(np.isfinite(vector).all())


def test_a_text_without_tokens_has_no_vector(embedder: StaticTableEmbedder) -> None:
    assert embedder.embed("") is None


def test_loading_imports_neither_the_package_nor_a_client_of_a_model_hub() -> None:
    program = (
        "import sys\nfrom intellirouter.cache.semantic.static_table import load_static_table\n"
        "load_static_table().embed('a')\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'wordllama', 'huggingface_hub', 'requests', 'torch'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda _name: None)
    with pytest.raises(ModuleNotFoundError, match=r"intellirouter\[semantic\]"):
        static_table.load_static_table()
