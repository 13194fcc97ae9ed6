"""How may the issuer's two documents be put on the web?

In a bucket behind CloudFront (`hosting_terraform`, `hosting_cloudformation`), or in a folder that nginx shows
(`nginx`). Several issuers of one host, told apart by their paths, share bucket, distribution and certificate: a path is
also the prefix of the keys. Pure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Final, Self
from urllib.parse import urlsplit

from agent.errors import ConfigurationError
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH

#: What may be read and written, below the path of each issuer; nothing else is ever shown.
DOCUMENTS: Final = (DISCOVERY_PATH, JWKS_PATH)

#: For how long CloudFront keeps a document that does not say so itself, the longest it keeps any, and how long it
#: remembers that it could not get one. Seconds.
DEFAULT_TTL: Final = 300
LONGEST_TTL: Final = 3600
ERROR_TTL: Final = 10
#: The answers of a bucket, or of CloudFront itself, that are no documents and must not be remembered as if they were.
ERRORS: Final = (403, 404, 500, 502, 503, 504)

#: For how long what was overwritten can be had back. Days.
KEPT_DAYS: Final = 30

#: CloudFront gives TLS 1.2 and 1.3 with this, and no cipher without forward secrecy.
TLS_POLICY: Final = "TLSv1.2_2021"

#: What a path may hold in Terraform's variable too. Nothing here means anything to nginx, IAM or S3.
PATH: Final = r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2,5}(-[a-z]+)+-[0-9]{1,2}")
#: Regions of partitions other than `aws`: their accounts cannot make a distribution in the CloudFront meant here.
_OTHER_PARTITION = re.compile(r"(cn|us-gov|us-iso[a-z]*|eu-isoe|eusc)-")


@dataclass(frozen=True, slots=True)
class Site:
    """The issuers of one host. `paths` have no slash at either end; "" is `https://HOST` itself."""

    host: str
    paths: tuple[str, ...]

    @classmethod
    def of(cls, issuers: Sequence[str]) -> Self:
        """Take issuers' URLs apart. Raises ConfigurationError where they are of several hosts, or cannot be served."""
        hosts = {urlsplit(issuer).netloc.lower() for issuer in issuers}
        paths = dict.fromkeys(urlsplit(issuer).path.strip("/") for issuer in issuers)
        if len(hosts) != 1:
            raise ConfigurationError(
                f"{len(hosts)} hosts cannot share one web site", hint="make the files for each host by itself"
            )
        (host,) = hosts
        odd = next((path for path in paths if path and not re.fullmatch(PATH, path)), None)
        if odd is not None or not _HOST.fullmatch(host):
            raise ConfigurationError(
                f"the files for hosting cannot say {host if odd is None else odd!r}",
                hint="use a URL of letters, digits and - . _ ~ /, as in https://oidc.example.com/site-a",
            )
        return cls(host, tuple(paths))

    @property
    def label(self) -> str:
        """What a file for this site is called: the host, and the path where there is just one."""
        path = self.paths[0].replace("/", "_") if len(self.paths) == 1 else ""
        return f"{self.host}_{path}" if path else self.host

    def issuer(self, path: str) -> str:
        """The URL of one of them, without a terminating slash."""
        return f"https://{self.host}/{path}" if path else f"https://{self.host}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket that is published to; `prefix` is what our own keys begin with, without a slash at its end."""

    name: str
    region: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder that is published to, and for how long readers may keep what is in it."""

    path: PurePath
    max_age: timedelta


def keys(path: str) -> tuple[str, ...]:
    """The keys in the bucket of the issuer with this path."""
    return tuple(f"{path}/{document}" if path else document for document in DOCUMENTS)


def refuse_unfit(site: Site, bucket: Bucket) -> None:
    """Raise ConfigurationError where CloudFront cannot show this bucket at the issuers' URLs."""
    if _OTHER_PARTITION.match(bucket.region):
        raise ConfigurationError(
            f"there are no files for CloudFront in front of {bucket.region}, which is in a partition of its own",
            hint="publish to a bucket in any region of the usual partition, or use nginx or the agent's own listener",
        )
    if not _REGION.fullmatch(bucket.region):
        raise ConfigurationError(f"{bucket.region!r} is no region", hint="write it as in eu-central-1")
    if not _BUCKET.fullmatch(bucket.name):
        raise ConfigurationError(
            f"the bucket {bucket.name!r} cannot be read over TLS by its name",
            hint="choose a name of a-z 0-9 - alone: the certificate of S3 covers no name with a dot",
        )
    if bucket.prefix not in site.paths:
        raise ConfigurationError(
            f"what is published with the prefix {bucket.prefix!r} is not what {site.issuer(site.paths[0])} leads to",
            hint=f"set publishing.prefix to {site.paths[0]!r}, the path of the issuer",
        )
