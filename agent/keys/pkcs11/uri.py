"""How is a key in a token named? By a PKCS#11 URI (RFC 7512)."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from agent.errors import ConfigurationError

_SCHEME: Final = "pkcs11:"
#: RFC 7512 §2.3: what a value of the path holds as it is, beside what is percent-encoded.
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})+")
_PLAIN: Final = "-._~"
_KNOWN: Final = ("token", "serial", "object", "id", "type")
#: What others put into such a URI and this agent takes from a setting of its own.
_ELSEWHERE: Final = {
    "pin-source": "pin_file says where the PIN is",
    "pin-value": "a secret never stands here: pin_file says where the PIN is",
    "module-path": "module says which module it is",
    "module-name": "module says which module it is",
}
_SHAPE: Final = 'write it as in "pkcs11:token=hsm;object=rolecall" or "pkcs11:token=hsm;id=%01%ab"'


@dataclass(frozen=True, slots=True)
class KeyUri:
    """What a private key and its token are told by; None is any.

    Attributes:
        token: the token's label.
        serial: the token's serial number.
        label: the key's CKA_LABEL, "object" in the URI.
        id: the key's CKA_ID.
    """

    token: str | None = None
    serial: str | None = None
    label: str | None = None
    id: bytes | None = field(default=None, repr=False)  # bytes are shown nowhere; str() spells these out

    def __str__(self) -> str:
        """Spell it, so that `read` gives it back."""
        texts = {"token": self.token, "serial": self.serial, "object": self.label}
        parts = [f"{name}={quote(value, safe=_PLAIN)}" for name, value in texts.items() if value is not None]
        if self.id is not None:
            parts.append("id=" + "".join(f"%{byte:02x}" for byte in self.id))
        return _SCHEME + ";".join(parts)


def read(uri: str) -> KeyUri:
    """Read a URI that names a key; raises ConfigurationError, which never shows a PIN that stands in it."""
    path, _, query = uri.removeprefix(_SCHEME).partition("?")
    if not uri.startswith(_SCHEME):
        raise ConfigurationError("the name of the key is no PKCS#11 URI", hint=_SHAPE)
    for attribute in filter(None, query.split("&")):
        raise _unknown(attribute.partition("=")[0])
    values: dict[str, bytes] = {}
    for attribute in path.split(";"):
        name, _, value = attribute.partition("=")
        if name not in _KNOWN:
            raise _unknown(name)
        if name in values:
            raise ConfigurationError(f'the PKCS#11 URI has two values for "{name}"', hint="keep the one that is meant")
        if not _VALUE.fullmatch(value):
            raise ConfigurationError(
                f'the PKCS#11 URI has a value for "{name}" that RFC 7512 does not allow',
                hint="write every byte but letters, digits and - . _ ~ as % and two hexadecimal digits",
            )
        values[name] = unquote_to_bytes(value)
    return _meant(values)


def _meant(values: dict[str, bytes]) -> KeyUri:
    try:
        texts = {name: value.decode() for name, value in values.items() if name != "id"}
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            "the PKCS#11 URI has a label that is not UTF-8", hint="tell the key by its id instead"
        ) from error
    if texts.get("type", "private") != "private":
        raise ConfigurationError(
            "the PKCS#11 URI names an object that is no private key", hint='write type=private, or leave "type" out'
        )
    if "object" not in values and "id" not in values:
        raise ConfigurationError("the PKCS#11 URI does not say which key of the token it is", hint=_SHAPE)
    return KeyUri(texts.get("token"), texts.get("serial"), texts.get("object"), values.get("id"))


def _unknown(name: str) -> ConfigurationError:
    if name in _ELSEWHERE:
        return ConfigurationError(f'the PKCS#11 URI has "{name}" in it', hint=f"take it out; {_ELSEWHERE[name]}")
    shown = f'"{name}"' if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name) else "a part without a name"
    return ConfigurationError(
        f"the PKCS#11 URI has {shown} in it, which says nothing here",
        hint=f"a key is told by {', '.join(_KNOWN[:-1])} and {_KNOWN[-1]}",
    )
