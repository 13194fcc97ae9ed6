"""Which hosts are the STS of a region? Pure.

The rule set of STS's endpoints as botocore carries it, without what nobody can be asked to sign for. A host that is not
in this list is never spoken to, whatever somebody shows us.
"""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

#: Of each partition: how its regions begin, the domain of its hosts, and that of those that speak IPv6, too.
_PARTITIONS: Final = (
    (("cn-",), "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    (("us-gov-",), "amazonaws.com", "api.aws"),
    (("eusc-",), "amazonaws.eu", "api.amazonwebservices.eu"),
    (
        ("us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"),
        "amazonaws.com",
        "api.aws",
    ),
)
#: Where there are no hosts of their own for FIPS.
_NO_FIPS: Final = ("cn-", "eusc-")
#: The one endpoint that is not of a region; what is signed for it names this region.
_GLOBAL: Final = ("sts.amazonaws.com", "us-east-1")


def origins(regions: Iterable[str], endpoint_url: str | None = None) -> Mapping[str, frozenset[str]]:
    """The beginnings of URLs, such as "https://sts.eu-central-1.amazonaws.com", each with the regions it is signed for.

    With an `endpoint_url` (a sandbox, or an endpoint in one's own network) there is that alone, for all the regions.
    Raises ValueError for a region of no partition that is known here, and for a URL with more than a host and a port.
    """
    wanted = tuple(regions)
    if endpoint_url is not None:
        return {_origin(endpoint_url): frozenset(wanted)}
    found: dict[str, frozenset[str]] = {}
    for region in wanted:
        for host in _hosts(region):
            found[f"https://{host}"] = frozenset((region,))
    if _GLOBAL[1] in wanted:
        found[f"https://{_GLOBAL[0]}"] = frozenset((_GLOBAL[1],))
    return found


def _hosts(region: str) -> Iterable[str]:
    for beginnings, domain, dual in _PARTITIONS:
        if region.startswith(beginnings):
            names = ("sts",) if region.startswith(_NO_FIPS) else ("sts", "sts-fips")
            return [f"{name}.{region}.{below}" for name in names for below in (domain, dual)]
    raise ValueError("a region of no partition that is known here")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    plain = parts.path in {"", "/"} and not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in {"http", "https"} or not host or not plain:
        raise ValueError("a URL of more than a host and a port")
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    # The port that goes without saying is left out, as whoever signs leaves it out.
    return f"{parts.scheme}://{shown}" + ("" if parts.port in {None, usual} else f":{parts.port}")
