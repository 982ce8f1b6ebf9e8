"""Blobs in a bucket of S3 or anything that speaks like it (MinIO, Ceph, OSS): one object per content, its key made of its hash."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import math
import os
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from patrol.blobs import CHUNK_BYTES, Blob, BlobDamaged, BlobError, BlobStore, hash_of, is_name, must_be, place
from patrol.stores.s3 import Address, client, is_missing, sentences

PART_BYTES = 16 << 20
MOST_PARTS = 10_000  # of S3 itself


class BlobBucket:
    """Blobs below a prefix of a bucket; an adapter of `BlobStore`.

    What arrives is proved by Content-MD5 on every request, what is read by the hash in its name. `cache` keeps local copies.
    """

    def __init__(self, address: Address, cache: BlobStore) -> None:
        self.address, self.cache = address, cache
        self._s3 = client(address)

    def _key(self, sha256: str) -> dict[str, str]:
        return {"Bucket": self.address.bucket, "Key": self.address.key(place(sha256))}

    def size_bytes(self, sha256: str) -> int | None:
        """How large a content is, None when it is not there."""
        key = self._key(sha256)
        try:
            with sentences(self.address, f"look for blob {sha256[:12]}…"):
                return int(self._s3.head_object(**key)["ContentLength"])
        except BlobError as err:
            if is_missing(err):
                return None
            raise

    def has(self, sha256: str) -> bool:
        """Whether a content is there."""
        return self.size_bytes(sha256) is not None

    def put(self, content: bytes) -> Blob:
        """Keep some bytes."""
        blob = Blob(hashlib.sha256(content).hexdigest(), len(content))
        return self._send(blob, io.BytesIO(content))

    def put_file(self, source: Path) -> Blob:
        """Keep a copy of a file."""
        blob = hash_of(source)
        try:
            with source.open("rb") as stream:
                return self._send(blob, stream)
        except OSError as err:
            raise BlobError(f"cannot read {source}: {err.strerror or err}") from err

    def put_stream(self, stream: BinaryIO) -> Blob:
        """Keep what a stream still has: it waits on this disk until its hash, and so its key, is known."""
        try:
            with tempfile.SpooledTemporaryFile(max_size=PART_BYTES) as waiting:
                digest = hashlib.sha256()
                for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
                    digest.update(chunk)
                    waiting.write(chunk)
                blob = Blob(digest.hexdigest(), waiting.tell())
                waiting.seek(0)
                return self._send(blob, waiting)
        except OSError as err:
            raise BlobError(f"cannot read what is to be kept: {err.strerror or err}") from err

    def take(self, source: Path, sha256: str) -> Blob:
        """Keep a file that is given away; it is removed once the bucket has it."""
        place(sha256)
        found = must_be(hash_of(source), sha256, source.name)
        with source.open("rb") as stream:
            self._send(found, stream)
        source.unlink(missing_ok=True)
        return found

    def open(self, sha256: str) -> BufferedReader:
        """A content for reading; its end raises BlobDamaged when it was not what its name says."""
        key = self._key(sha256)
        try:
            with sentences(self.address, f"read blob {sha256[:12]}…"):
                body = self._s3.get_object(**key)["Body"]
        except BlobError as err:
            if is_missing(err):
                raise BlobError(f"blob {sha256} is not in the store") from err
            raise
        return BufferedReader(_Proved(body, sha256, self.address), CHUNK_BYTES)

    def read(self, sha256: str) -> bytes:
        """A content as bytes."""
        with self.open(sha256) as stream:
            return stream.read()

    def local(self, sha256: str) -> Path:
        """A copy in the cache of this machine: map and picture libraries read files, not buckets."""
        if not self.cache.has(sha256):
            with self.open(sha256) as stream:
                self.cache.put_stream(stream)
        path = self.cache.local(sha256)
        os.utime(path)  # what is used stays in the cache
        return path

    def remove(self, sha256: str) -> bool:
        """Let a content go for good, here and in the cache; whether it was there. A bucket that keeps versions keeps an old one."""
        there = self.has(sha256)
        with sentences(self.address, f"remove blob {sha256[:12]}…"):
            self._s3.delete_object(**self._key(sha256))
        self.cache.remove(sha256)
        return there

    def all(self) -> Iterator[str]:
        """The names of all contents."""
        with sentences(self.address, "list the blobs"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.address.bucket, Prefix=self.address.key("") if self.address.prefix else ""
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    name = found["Key"].rsplit("/", 1)[-1]
                    if is_name(name) and found["Key"] == self.address.key(place(name)):
                        yield name

    def damaged(self) -> Iterator[str]:
        """Names whose content is no longer what the name says; reads every byte of the bucket."""
        for name in self.all():
            try:
                with self.open(name) as stream:
                    while stream.read(CHUNK_BYTES):
                        pass
            except BlobDamaged:
                yield name

    def check(self) -> str:
        """The bucket; raises BlobError when it, its server or the credentials are wrong."""
        with sentences(self.address, "look at the bucket"):
            self._s3.head_bucket(Bucket=self.address.bucket)
        return str(self.address)

    def _send(self, blob: Blob, stream: Any) -> Blob:
        if self.size_bytes(blob.sha256) == blob.size_bytes:
            return blob
        with sentences(self.address, f"write blob {blob.sha256[:12]}…"):
            if blob.size_bytes <= PART_BYTES:
                body = stream.read()
                self._s3.put_object(**self._key(blob.sha256), Body=body, ContentMD5=_md5(body))
            else:
                self._send_parts(blob, stream)
        if self.size_bytes(blob.sha256) != blob.size_bytes:
            raise BlobError(f"{self.address}: blob {blob.sha256[:12]}… did not arrive whole; try again")
        return blob

    def _send_parts(self, blob: Blob, stream: Any) -> None:
        """One part in memory at a time. An upload that fails is taken back; the key appears with the last request only."""
        key = self._key(blob.sha256)
        size = max(PART_BYTES, math.ceil(blob.size_bytes / MOST_PARTS))
        upload = self._s3.create_multipart_upload(**key)["UploadId"]
        try:
            parts = []
            for number, body in enumerate(iter(lambda: stream.read(size), b""), start=1):
                sent = self._s3.upload_part(**key, UploadId=upload, PartNumber=number, Body=body, ContentMD5=_md5(body))
                parts.append({"PartNumber": number, "ETag": sent["ETag"]})
            self._s3.complete_multipart_upload(**key, UploadId=upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(Exception):  # what failed is told; the bucket's own rule removes what is left
                self._s3.abort_multipart_upload(**key, UploadId=upload)
            raise


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


class _Proved(io.RawIOBase):
    """A body that is hashed while it is read, and must have its name's hash at the end."""

    def __init__(self, body: Any, sha256: str, address: Address) -> None:
        self._body, self._sha256, self._address, self._digest = body, sha256, address, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        from botocore.exceptions import BotoCoreError, HTTPClientError

        try:
            chunk = self._body.read(len(into))
        except (BotoCoreError, HTTPClientError, OSError) as err:
            raise BlobError(
                f"{self._address}: the line broke while blob {self._sha256[:12]}… was read ({err}); try again"
            ) from err
        if not chunk:
            must_be(Blob(self._digest.hexdigest(), 0), self._sha256, f"blob {self._sha256} in {self._address}")
            return 0
        self._digest.update(chunk)
        into[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()
