"""`/v1/files`: files that were uploaded or written by batches."""

from collections import OrderedDict
from typing import Any, Final

from msgspec import Struct

from intellirouter.core import new_id
from intellirouter.fake.openai.replies import OpenAiError, bytes_reply, json_reply, not_allowed
from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.openai.forms import files_in, form_of, text_in
from intellirouter.testing.wires.openai.requests import page_of
from intellirouter.testing.wires.shared.request import WireRequest

MAX_STORED: Final = 1000
_PURPOSES: Final = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_ROOT: Final = "/files"


class StoredFile(Struct, kw_only=True):
    """A file with its content."""

    id: str
    name: str
    purpose: str
    content: bytes
    created_s: int

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_s,
            "expires_at": None,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """Part of OpenAI's API, with its stored objects."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, StoredFile] = OrderedDict()

    def clear(self) -> None:
        self._files.clear()

    def add(self, name: str, purpose: str, content: bytes, created_s: int) -> StoredFile:
        file = StoredFile(id=new_id("file-"), name=name, purpose=purpose, content=content, created_s=created_s)
        self._files[file.id] = file
        if len(self._files) > MAX_STORED:
            self._files.popitem(last=False)
        return file

    def find(self, name: str) -> StoredFile:
        """Return the file. Raises `OpenAiError` (404)."""
        file = self._files.get(name)
        if file is None:
            raise OpenAiError(404, f"No such File object: {name}", param="id")
        return file

    def answer(self, request: WireRequest, path: str) -> Reply | None:
        if path != _ROOT and not path.startswith(f"{_ROOT}/"):
            return None
        name, _, what = path.removeprefix(_ROOT).removeprefix("/").partition("/")
        match request.method, bool(name), what:
            case "POST", False, "":
                return self._upload(request)
            case "GET", False, "":
                purpose = request.query.get("purpose")
                documents = [file.document() for file in self._files.values() if purpose in (None, file.purpose)]
                return json_reply(page_of(documents, request, default_order="desc"))
            case "GET", True, "":
                return json_reply(self.find(name).document())
            case "GET", True, "content":
                return bytes_reply("application/octet-stream", self.find(name).content)
            case "DELETE", True, "":
                self.find(name)
                del self._files[name]
                return json_reply({"id": name, "object": "file", "deleted": True})
        raise not_allowed(request.method, request.path)

    def _upload(self, request: WireRequest) -> Reply:
        parts = form_of(request)
        files = files_in(parts, "file")
        if not files:
            raise OpenAiError(400, "'file' is a required property", param="file")
        purpose = text_in(parts).get("purpose")
        if purpose not in _PURPOSES:
            raise OpenAiError(400, f"'{purpose}' is not one of {list(_PURPOSES)} - 'purpose'", param="purpose")
        file = self.add(files[0].filename or "upload", purpose, files[0].content, request.created_s)
        return json_reply(file.document())
