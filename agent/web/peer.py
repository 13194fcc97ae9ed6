"""Who sent this request, and may it be here at all?"""

import re
from collections.abc import Sequence

from agent.callers import Origin, Peer
from agent.web.problems import BAD_REQUEST, BROWSER_REFUSED, HOST_REFUSED, Refusal

#: Hosts that SDKs accept for an endpoint without TLS. A page in a browser can make a name of its own point here
#: (DNS rebinding), but not send one of these in Host while it does.
_SDK_HOSTS = frozenset((b"127.0.0.1", b"[::1]", b"localhost", b"169.254.170.2", b"169.254.170.23", b"[fd00:ec2::23]"))

#: Any port will do: behind a forwarded one the caller cannot know ours, and a literal address is proof enough.
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,255})(?::[0-9]{1,5})?")

#: What SDKs never send. Browsers add the first two, proxies the third.
_NEVER_SENT = frozenset((b"origin", b"referer", b"x-forwarded-for"))


def host_allowed(host: bytes, local: str) -> bool:
    """Whether a Host header names an address of ours; `local` is the one that this connection came in on."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].lower()
    return name in _SDK_HOSTS or name == (f"[{local}]" if ":" in local else local).encode()


def peer(headers: Sequence[tuple[bytes, bytes]], origin: Origin, *, needs_host: bool, proxied: bool = False) -> Peer:
    """Who sent these headers, from there. `needs_host`: HTTP/1.1 demands one, 1.0 does not.

    Raises Refusal: no Host or two, Authorization twice; and, unless they come through a proxy that we are behind, a
    Host that is not ours, a header of browsers or proxies.
    """
    hosts, presented = [], []
    for raw_name, value in headers:
        name = raw_name.lower()
        if name == b"host":
            hosts.append(value.strip(b" \t"))
        elif name == b"authorization":
            presented.append(value.strip(b" \t"))
        elif name in _NEVER_SENT and not proxied:
            raise Refusal(BROWSER_REFUSED)
    if len(hosts) > 1 or len(presented) > 1 or (needs_host and not hosts):
        raise Refusal(BAD_REQUEST)
    if hosts and not proxied and not host_allowed(hosts[0], origin.local):
        raise Refusal(HOST_REFUSED)
    return Peer(origin, presented[0] if presented else None)
