"""What may the operator say about where our public keys are published?"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from agent.settings.keys import AWS_CREDENTIALS, aws_credentials
from agent.settings.mistakes import Wrong, shown
from agent.settings.outputs import Address, parse_address
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, SecretPath, one_of, span, text
from agent.settings.web import Proxy, Region, Url

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._~/-]{1,200}")
_ROLE = re.compile(r"role:[a-z0-9][a-z0-9._-]{0,62}")
_MAX_AGE = Annotated[timedelta, span("0s", "1d")]


def _bucket(value: str, _: Surroundings) -> str:
    if not _BUCKET.fullmatch(value) or ".." in value:
        raise Wrong(f"{shown(value)} is no name for a bucket: 3 to 63 of a-z 0-9 - ., as S3 has them")
    return value


def _prefix(value: str, _: Surroundings) -> str:
    prefix = value.removesuffix("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or not {"", ".", ".."}.isdisjoint(prefix.split("/"))):
        raise Wrong('must be the beginning of keys in the bucket, without a slash before it, as in "site-a"')
    if ".well-known" in prefix.split("/"):
        raise Wrong("has .well-known in it, which follows by itself; write only what stands before it")
    return prefix


def _credentials(value: str, surroundings: Surroundings) -> str:
    if _ROLE.fullmatch(value):
        return value
    if value.startswith("role:"):
        raise Wrong('names no role that could be in this file; write it as in "role:publisher"')
    try:
        return aws_credentials(value, surroundings)
    except Wrong:
        raise Wrong(f'must say which credentials are used: "role:NAME", {AWS_CREDENTIALS}') from None


def _listen(value: str, _: Surroundings) -> Address:
    return parse_address(value)


class Directory(Section):
    """A directory that a web server shows. `max_age`: for how long it is to let readers keep a copy.

    `certificates`: a directory of PEM chains; a key for which there is one there is published with it, as x5c.
    """

    to: Annotated[Literal["directory"], one_of(Literal["directory"])]
    directory: FilePath = Field(examples=['"/var/www/oidc"'])
    max_age: _MAX_AGE = timedelta(minutes=5)
    certificates: FilePath | None = Field(None, examples=['"/etc/rolecall/certificates"'])


class S3(Section):
    """A bucket, which several hosts may share: each adds and withdraws its own keys alone.

    `credentials` says whose are used: "role:NAME" is one of our own roles, which can be so only once the issuer is
    known to AWS; the others are those of `key.credentials`.
    """

    to: Annotated[Literal["s3"], one_of(Literal["s3"])]
    bucket: Annotated[str, text(_bucket)] = Field(examples=['"oidc-example-com"'])
    prefix: Annotated[str, text(_prefix)] = Field("", examples=['"site-a"'])
    region: Region = Field(examples=['"eu-central-1"'])
    credentials: Annotated[str, text(_credentials)] = Field(examples=['"role:publisher"', '"profile:publisher"'])
    endpoint_url: Url | None = Field(None, examples=['"https://s3.example.com"'])
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])
    max_age: _MAX_AGE = timedelta(minutes=5)
    certificates: FilePath | None = Field(None, examples=['"/etc/rolecall/certificates"'])


class Https(Section):
    """Our own HTTPS listener, with a certificate chain and its private key; both are read again when they change."""

    to: Annotated[Literal["https"], one_of(Literal["https"])]
    listen: Annotated[Address, text(_listen)] = Field("0.0.0.0:443", validate_default=True)
    certificate: FilePath = Field(examples=['"/etc/ssl/oidc.example.com/fullchain.pem"'])
    private_key: SecretPath = Field(examples=['"credential:tls-key"'])
    max_age: _MAX_AGE = timedelta(minutes=5)
    certificates: FilePath | None = Field(None, examples=['"/etc/rolecall/certificates"'])


Publishing = Directory | S3 | Https

#: The kinds of [publishing], by their `to`.
PLACES: Final[Mapping[str, type[Section]]] = {"directory": Directory, "s3": S3, "https": Https}
