"""What does STS answer when it has gone mad?

Each kind is a 200 that an honest client must not take for credentials.
"""

import re
from typing import Final

from agent.sandbox.faults import Garbage
from agent.sandbox.wire import Reply

_HTML: Final = (
    b"<!DOCTYPE html><html><head><meta charset=utf-8><title>Sign in to the network</title></head>"
    b"<body>Welcome</body></html>"
)


def spoil(reply: Reply, kind: Garbage) -> Reply:
    """Make garbage of an answer; what is made of a good answer keeps whatever this kind does not break."""
    body, media_type = reply.body, reply.media_type
    match kind:
        case "not_xml":
            body = b"<<<this is not XML &&& \xff\xfe"
        case "empty":
            body = b""
        case "html":
            body, media_type = _HTML, "text/html"
        case "truncated":
            body = body[: len(body) // 2]
        case "empty_members":
            body = re.sub(rb"<(AccessKeyId|SecretAccessKey|SessionToken)>[^<]*</\1>", rb"<\1></\1>", body)
        case "missing_members":
            body = re.sub(rb"<(SecretAccessKey|SessionToken)>[^<]*</\1>", b"", body)
        case "expired":
            body = re.sub(rb"<Expiration>[^<]*", b"<Expiration>2001-01-01T00:00:00Z", body)
        case "wrong_root":
            body = b'<?xml version="1.0"?><Greeting xmlns="urn:example">hello</Greeting>'
    return Reply(200, body, media_type)
