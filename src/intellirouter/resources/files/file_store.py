"""Stores files: one object with the metadata, and parts of one mebibyte with the content."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.config.runtime import FilesSpec
from intellirouter.core import Clock, errors, new_id
from intellirouter.resources.object_store import AsyncObjectStore, PageQuery
from intellirouter.store import StoredObject, part_id

FILE: Final = "file"
PART: Final = "file_part"
PART_BYTES: Final = 1024 * 1024
_PARTS_AT_ONCE: Final = 8
_DAY_S: Final = 86_400
_NO_SETTINGS: Final = FilesSpec()
_UPLOADING: Final = "uploading"
_UPLOAD_RETENTION_US: Final = 3_600_000_000
"""When to delete an upload that was interrupted because the process was killed."""


class FileMetadata(Struct, frozen=True, kw_only=True):
    """The metadata of a file: the `meta` of its stored object."""

    filename: str
    purpose: str
    bytes: int
    created_at: int
    expires_at: int | None = None


class StoredFile(Struct, frozen=True):
    id: str
    tenant: str
    metadata: FileMetadata

    def document(self) -> dict[str, Any]:
        """Return OpenAI's file object."""
        metadata = self.metadata
        return {
            "id": self.id,
            "object": "file",
            "bytes": metadata.bytes,
            "created_at": metadata.created_at,
            "expires_at": metadata.expires_at,
            "filename": metadata.filename,
            "purpose": metadata.purpose,
            "status": "processed",
            "status_details": None,
        }

    def to_stored(self, status: str = "processed") -> StoredObject:
        """Return the object to store."""
        metadata = self.metadata
        return StoredObject(
            kind=FILE,
            id=self.id,
            tenant=self.tenant,
            created_us=metadata.created_at * 1_000_000,
            expires_us=None if metadata.expires_at is None else metadata.expires_at * 1_000_000,
            status=status,
            meta=msgspec.json.encode(metadata),
        )


_decode_metadata: Final = msgspec.json.Decoder(FileMetadata)


class FileStore:
    """Stores files by tenant."""

    def __init__(
        self, objects: AsyncObjectStore, clock: Clock, limits: Callable[[], FilesSpec] = lambda: _NO_SETTINGS
    ) -> None:
        """`limits` returns the current settings."""
        self._objects = objects
        self._clock = clock
        self._limits = limits
        self._admitting = asyncio.Lock()

    def new(
        self, tenant: str, filename: str, purpose: str, size_bytes: int, expires_after_s: int | None, file_id: str = ""
    ) -> StoredFile:
        """Return a file that is not stored yet, with a new id unless one is given.

        Without `expires_after_s`, it expires after `files.keep_days`.
        """
        now_s = self._clock.epoch_us() // 1_000_000
        expires_at = now_s + (expires_after_s or max(1, int(self._limits().keep_days * _DAY_S)))
        metadata = FileMetadata(
            filename=filename, purpose=purpose, bytes=size_bytes, created_at=now_s, expires_at=expires_at
        )
        return StoredFile(file_id or new_id("file-"), tenant, metadata)

    async def save(self, file: StoredFile, content: memoryview) -> None:
        """Store a file and its content. It is visible when all of it is stored.

        Raises `Overloaded`, and `InvalidRequest` if the tenant has no room left for it.
        """
        call, put_all = self._objects.call, self._objects.store.put_all
        expires_us = self._clock.epoch_us() + _UPLOAD_RETENTION_US
        async with self._admitting:  # files that are being uploaded count, so that many at once cannot exceed the limit
            await self._check_quota(file)
            await call(put_all, [msgspec.structs.replace(file.to_stored(_UPLOADING), expires_us=expires_us)])
        parts = range(0, len(content), PART_BYTES)
        for first in range(0, len(parts), _PARTS_AT_ONCE):
            several = parts[first : first + _PARTS_AT_ONCE]
            await call(
                put_all,
                [
                    file_part(file.id, file.tenant, first + number, bytes(content[start : start + PART_BYTES]))
                    for number, start in enumerate(several)
                ],
            )
        await call(put_all, [file.to_stored()])

    async def _check_quota(self, file: StoredFile) -> None:
        """Raise `InvalidRequest` if the tenant's files would exceed a limit."""
        limits = self._limits()
        metas = await self._objects.call(self._objects.store.metas, FILE, file.tenant, self._clock.epoch_us())
        if len(metas) >= limits.max_tenant_files:
            raise _no_room(f"It has {len(metas)} files", "files.max_tenant_files")
        used = sum([_decode_metadata.decode(meta).bytes for meta in metas])
        if used + file.metadata.bytes > limits.max_tenant_bytes:
            raise _no_room(f"Its files use {used} of {limits.max_tenant_bytes} bytes", "files.max_tenant_bytes")

    async def find(self, tenant: str, file_id: str) -> StoredFile | None:
        found = await self._objects.call(self._objects.store.get, FILE, file_id, tenant, self._clock.epoch_us())
        return None if found is None or found.status == _UPLOADING else _stored_file(found)

    async def delete(self, tenant: str, file_id: str) -> bool:
        return await self._objects.call(self._objects.store.delete, FILE, file_id, tenant)

    async def page(self, tenant: str, query: PageQuery, purpose: str | None) -> tuple[list[StoredFile], bool]:
        """Return a page of files, and whether there are more."""

        def is_wanted(stored: StoredObject) -> bool:
            return stored.status != _UPLOADING and purpose in {None, _decode_metadata.decode(stored.meta).purpose}

        found, has_more = await self._objects.page(FILE, tenant, query, is_wanted)
        return [_stored_file(each) for each in found], has_more

    async def pieces(self, tenant: str, file_id: str) -> AsyncIterator[bytes]:
        """Iterate over the content of a file. Raises `Overloaded`."""
        async for part in self._objects.parts(PART, file_id, tenant, can_wait=False):
            yield part.content or b""


class PartWriter:
    """Writes a file of unknown length, part by part. Writing the same content again replaces it."""

    def __init__(self, objects: AsyncObjectStore, file_id: str, tenant: str) -> None:
        self._objects = objects
        self._file_id = file_id
        self._tenant = tenant
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._parts = 0
        self.size_bytes = 0

    async def write(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        self.size_bytes += len(data)
        if self._held_bytes >= PART_BYTES:
            await self.flush()

    async def flush(self) -> None:
        if self._held:
            part = file_part(self._file_id, self._tenant, self._parts, b"".join(self._held))
            await self._objects.call_when_available(self._objects.store.put, part)
            self._parts += 1
            self._held, self._held_bytes = [], 0


def _no_room(usage: str, setting: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"The tenant has no room left for this file. {usage}.",
        code="storage_limit_exceeded",
        param="file",
        hint=f"Delete files, let them expire, or raise {setting}.",
    )


def file_part(file_id: str, tenant: str, number: int, content: bytes) -> StoredObject:
    """Return the n-th part of a file."""
    return StoredObject(
        kind=PART, id=part_id(file_id, number), tenant=tenant, created_us=0, parent=file_id, content=content
    )


def _stored_file(stored: StoredObject) -> StoredFile:
    return StoredFile(stored.id, stored.tenant, _decode_metadata.decode(stored.meta))
