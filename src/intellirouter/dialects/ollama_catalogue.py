"""What Ollama's clients ask about models: the bodies of its catalogue endpoints."""

from intellirouter.dialects.ollama import ListedModel, ps, show, tags, version

__all__ = ["ListedModel", "ps", "show", "tags", "version"]
