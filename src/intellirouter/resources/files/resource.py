"""`/v1/files`: upload, list, retrieve, download and delete files, which belong to a tenant.

Source: OpenAI API reference, "Files".
"""

from typing import Final
from urllib.parse import quote

from intellirouter.core import SMALL_BYTES, Current, OffLoop, errors
from intellirouter.dialects import Form, read_form
from intellirouter.pipeline import Generation
from intellirouter.resources.files.file_store import FileStore, StoredFile
from intellirouter.resources.object_store import PageQuery
from intellirouter.resources.pages import Page
from intellirouter.resources.resource import Download, ResourceRequest, is_ascending, json_page, page_size

PATH: Final = "/v1/files"
_PURPOSES: Final = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
_MAX_NAME_CHARS: Final = 255
_MAX_PAGE_SIZE: Final = 10_000
_DAY_S: Final = 86_400
_BATCH_EXPIRES_AFTER_S: Final = 30 * _DAY_S
_EXPIRES_AFTER_S: Final = range(3600, 30 * _DAY_S + 1)
_KEY_HEADERS: Final = (b"authorization", b"x-api-key", b"api-key")


class Files:
    """Implements `Resource`."""

    json_paths: Final[frozenset[str]] = frozenset()

    def __init__(self, files: FileStore, current: Current[Generation], off_loop: OffLoop) -> None:
        self._files = files
        self._current = current
        self._off_loop = off_loop

    def allowed(self, path: str) -> str:
        if path == PATH:
            return "GET, POST"
        file_id, slash, rest = path.removeprefix(f"{PATH}/").partition("/")
        if not path.startswith(f"{PATH}/") or not file_id:
            return ""
        return "GET, DELETE" if not slash else "GET" if rest == "content" else ""

    async def serve(self, request: ResourceRequest) -> Page | Download:
        file_id, _, rest = request.path.removeprefix(PATH).removeprefix("/").partition("/")
        tenant = request.identity.tenant
        if not file_id:
            return await (self._upload(request) if request.method == "POST" else self._list(request))
        if request.method == "DELETE":
            if not await self._files.delete(tenant, file_id):
                raise missing_file(file_id)
            return json_page({"id": file_id, "object": "file", "deleted": True})
        file = await self._files.find(tenant, file_id)
        if file is None:
            raise missing_file(file_id)
        return self._download(file) if rest else json_page(file.document())

    async def _upload(self, request: ResourceRequest) -> Page:
        if b"origin" in request.headers and not any(name in request.headers for name in _KEY_HEADERS):
            # Browsers let any web page submit a form to any address, but not with a header of its own (CSRF).
            raise errors.Forbidden(
                "An upload from a web page must have an API key in a header.", hint="Send `Authorization: Bearer KEY`."
            )
        body, content_type = request.body, request.headers.get(b"content-type", b"").decode("latin-1")
        if len(body) > SMALL_BYTES:
            form = await self._off_loop.run(len(body), lambda: read_form(body, content_type))
        else:
            form = read_form(body, content_type)
        # The next three messages are OpenAI's wording.
        part = form.file("file")
        if part is None:
            raise _invalid("'file' is a required property", "file", "missing_required_parameter")
        purpose = form.value("purpose")
        if purpose is None:
            raise _invalid("'purpose' is a required property", "purpose", "missing_required_parameter")
        if purpose not in _PURPOSES:
            raise _invalid(f"'{purpose[:100]}' is not one of {list(_PURPOSES)} - 'purpose'", "purpose", "invalid_value")
        expires_after_s = _expires_after_s(form)
        if purpose == "batch":
            limit_bytes = self._current.value.runtime.batches.max_file_bytes
            if part.end - part.start > limit_bytes:
                raise errors.BodyTooLarge(
                    f"The file is larger than {limit_bytes} bytes.",
                    hint="Split the file, or raise batches.max_file_bytes.",
                )
            expires_after_s = expires_after_s or _BATCH_EXPIRES_AFTER_S
        name = "".join(char for char in part.file_name if char.isprintable())[-_MAX_NAME_CHARS:] or "file"
        file = self._files.new(request.identity.tenant, name, purpose, part.end - part.start, expires_after_s)
        await self._files.save(file, memoryview(request.body)[part.start : part.end])
        return json_page(file.document())

    async def _list(self, request: ResourceRequest) -> Page:
        query = PageQuery(
            limit=page_size(request.query, default=_MAX_PAGE_SIZE, maximum=_MAX_PAGE_SIZE),
            after=request.query.get("after", ""),
            is_ascending=is_ascending(request.query),
        )
        found, has_more = await self._files.page(request.identity.tenant, query, request.query.get("purpose") or None)
        return json_page(
            {
                "object": "list",
                "data": [file.document() for file in found],
                "first_id": found[0].id if found else None,
                "last_id": found[-1].id if found else None,
                "has_more": has_more,
            }
        )

    def _download(self, file: StoredFile) -> Download:
        return Download(
            content_type=b"application/octet-stream",
            size_bytes=file.metadata.bytes,
            headers=((b"content-disposition", _disposition(file.metadata.filename)),),
            pieces=self._files.pieces(file.tenant, file.id),
        )


def missing_file(file_id: str, param: str = "id") -> errors.NotFound:
    """Return the error for a file that does not exist or belongs to another tenant, in OpenAI's wording."""
    return errors.NotFound(f"No such File object: {file_id[:100]}", param=param, code="file_not_found")


def _expires_after_s(form: Form) -> int | None:
    anchor, seconds = form.value("expires_after[anchor]"), form.value("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise _invalid(
            "Invalid value for 'expires_after[anchor]': the only supported value is 'created_at'.",
            "expires_after[anchor]",
        )
    return expiry_seconds(int(seconds) if seconds and seconds.isdecimal() and len(seconds) < 10 else None)


def expiry_seconds(seconds: object, param: str = "expires_after") -> int:
    """Return after how long a file expires. Raises `InvalidRequest` unless it is between an hour and 30 days."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds not in _EXPIRES_AFTER_S:
        raise _invalid(
            f"Invalid value for '{param}[seconds]': expected an integer from {_EXPIRES_AFTER_S[0]} (1 hour) to "
            f"{_EXPIRES_AFTER_S[-1]} (30 days).",
            f"{param}[seconds]",
        )
    return seconds


def _invalid(message: str, param: str, code: str = "invalid_value") -> errors.InvalidRequest:
    return errors.InvalidRequest(message, param=param, code=code)


def _disposition(filename: str) -> bytes:
    """Return a `content-disposition` that every client can parse. Source: RFC 6266."""
    plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in filename)
    value = f'attachment; filename="{plain}"'
    if plain != filename:
        value += f"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"
    return value.encode("ascii")
