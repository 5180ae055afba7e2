"""The default embedder: the mean of a static table of token vectors. Needs the extra `semantic`.

The table is part of the distribution `wordllama`, which is only located, not imported: importing it configures logging,
and its own loader would look for the tokenizer on a model hub. Nothing is downloaded. The license of the package is
MIT; its vectors are derived from the embeddings of Llama 2. So it is an optional extra and not part of this package.
"""

from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from intellirouter.cache.semantic.embedder import Vector, without_middle

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

_DISTRIBUTION: Final = "wordllama"
_WEIGHTS: Final = Path("weights") / "l2_supercat_256.safetensors"
_TOKENIZER: Final = Path("tokenizers") / "l2_supercat_tokenizer_config.json"
_TENSOR: Final = "embedding.weight"


class StaticTableEmbedder:
    """Takes the mean of the vectors of a text's tokens. About 50 µs for a short text."""

    is_fast: Final = True

    def __init__(self, table: "np.ndarray[tuple[int, int], np.dtype[Any]]", tokenizer: "Tokenizer", name: str) -> None:
        self._table = table
        self._tokenizer = tokenizer
        self.name: Final = name
        self.dimensions: Final = int(table.shape[1])

    def embed(self, text: str) -> Vector | None:
        import numpy as np  # noqa: PLC0415 - optional extra

        ids = self._tokenizer.encode(without_middle(text), add_special_tokens=False).ids
        if not ids:
            return None
        rows = self._table[np.minimum(ids, len(self._table) - 1)]
        vector: Vector = rows.sum(axis=0, dtype=np.float32)
        length = float(np.sqrt(vector @ vector))
        return vector / np.float32(length) if length > 0 else None


def load_static_table() -> StaticTableEmbedder:
    """Return the default embedder. Takes about 0.3 s and reads 18 MB: do not call it on the event loop.

    Raises `ModuleNotFoundError` if the extra is not installed, and `FileNotFoundError` if its version lacks the files.
    """
    spec = util.find_spec(_DISTRIBUTION)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{_DISTRIBUTION} is not installed. Install intellirouter[semantic].")
    folder = Path(spec.submodule_search_locations[0])
    from safetensors.numpy import load_file  # noqa: PLC0415 - optional extra
    from tokenizers import Tokenizer  # noqa: PLC0415 - optional extra

    table = load_file(folder / _WEIGHTS)[_TENSOR]
    tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return StaticTableEmbedder(table, tokenizer, f"{_DISTRIBUTION} {metadata.version(_DISTRIBUTION)} (256)")
