"""An embedder for tests that finds all texts equally similar, so that only the guard decides."""

from typing import Any, Final


class FakeEmbedder:
    """Implements `Embedder`. Counts its calls."""

    name: Final = "fake"
    dimensions: Final = 2
    is_fast: Final = True

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, text: str) -> Any:
        import numpy as np

        self.calls += 1
        return np.array([1.0, 0.0], dtype=np.float32) if text else None
