"""The door to S3: addresses such as `s3://bucket/prefix?endpoint=http://host:9000`, a client for one, and its errors as sentences.

Credentials come from the environment as boto3 reads them (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, a profile, a role); an
address that carries any is refused, because addresses stand in logs and settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from patrol.blobs import BlobError

SCHEME = "s3://"
_OPTIONS = ("endpoint", "region", "addressing")
_FORM = "write s3://bucket/prefix, or s3://bucket/prefix?endpoint=http://host:9000&region=…&addressing=path"


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a bucket. `addressing` is `path` or `virtual`: where the bucket's name stands in the request."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    addressing: str = "auto"

    @classmethod
    def of(cls, url: str) -> Address:
        """The address a URL says; raises BlobError with what a right one looks like."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise BlobError(f"not an address in S3: {_without_secrets(url)!r}; {_FORM}")
        if "@" in parts.netloc:
            raise BlobError(
                f"the address {_without_secrets(url)!r} carries credentials: take them out and set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY in the environment"
            )
        given = dict(parse_qsl(parts.query))
        unknown = sorted(set(given) - set(_OPTIONS))
        if unknown or given.get("addressing", "auto") not in {"auto", "path", "virtual"}:
            raise BlobError(f"the address of bucket {parts.netloc} has options nobody knows ({', '.join(unknown)}): {_FORM}")
        endpoint = given.get("endpoint", "")
        # A server of one's own (MinIO, Ceph) rarely has a name per bucket; the clouds that need `virtual` say so in the address.
        addressing = given.get("addressing", "path" if endpoint else "auto")
        return cls(parts.netloc, unquote(parts.path).strip("/"), endpoint, given.get("region", ""), addressing)

    def key(self, name: str) -> str:
        """The key of a name below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")


def _without_secrets(url: str) -> str:
    return url.split("://", 1)[0] + "://…@" + url.rsplit("@", 1)[-1] if "@" in url else url


def client(address: Address, *, connections: int = 16) -> Any:
    """A boto3 client for an address; it may be used from several threads. Raises BlobError when it cannot be made."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        s3={"addressing_style": address.addressing},
        retries={"mode": "standard", "max_attempts": 4},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=connections,
        # Content-MD5 proves each request; the newer checksum trailers are refused by servers that only resemble S3.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=address.endpoint or None,
            region_name=address.region or ("us-east-1" if address.endpoint else None),
            config=config,
        )
    except (BotoCoreError, ValueError) as err:
        raise BlobError(f"{address}: {err}") from err


_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of this program"
_CODES: Mapping[str, str] = {
    "NoSuchBucket": "there is no bucket {bucket}: make it, or mend the address",
    "404": "there is no bucket {bucket}, or nothing of that name in it: mend the address",
    "NoSuchKey": "it is not in the bucket",
    "InvalidAccessKeyId": f"the access key is unknown to the server: {_KEYS}",
    "SignatureDoesNotMatch": f"the secret key does not fit the access key: {_KEYS}",
    "AccessDenied": "these credentials may not do this in bucket {bucket}: give them leave to list, read and write it",
    "403": "these credentials may not use bucket {bucket}: give them leave to list, read and write it",
    "ExpiredToken": "the credentials have expired: renew them",
    "BadDigest": "what arrived is not what was sent: the line is broken, try again",
    "PreconditionFailed": "it was changed while it was read: start again",
}


@contextmanager
def sentences(address: Address, doing: str) -> Iterator[None]:
    """Turn what boto3 raises inside into a BlobError that says what was tried, what is wrong and what to do."""
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

    try:
        yield
    except NoCredentialsError as err:
        raise BlobError(f"{address}: cannot {doing}: no credentials were found; {_KEYS}") from err
    except EndpointConnectionError as err:
        where = address.endpoint or "S3"
        raise BlobError(f"{address}: cannot {doing}: {where} does not answer; is it running, is the address right?") from err
    except ClientError as err:
        said = err.response.get("Error", {})
        text = _CODES.get(str(said.get("Code")), f"{said.get('Code')}: {said.get('Message', 'no reason given')}")
        raise BlobError(f"{address}: cannot {doing}: {text.format(bucket=address.bucket)}") from err
    except BotoCoreError as err:
        raise BlobError(f"{address}: cannot {doing}: {err}") from err


def is_missing(err: BlobError) -> bool:
    """Whether an error of `sentences` only says that a key is not there."""
    from botocore.exceptions import ClientError

    cause = err.__cause__
    return isinstance(cause, ClientError) and str(cause.response.get("Error", {}).get("Code")) in {"404", "NoSuchKey"}
