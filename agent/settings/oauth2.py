"""What may the operator say about an OAuth 2.0 provider that gives us our identity token?"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field

from agent.settings.issuer_url import issuer_url
from agent.settings.mistakes import Wrong, comes_to, listed, shown
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, SecretPath, array, expand, one_of, text
from agent.settings.web import Proxy, endpoint_url

#: RFC 6749 §3.3: tokens of printable ASCII but for quotes and backslashes, with one blank between them.
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")
_PRINTABLE: Final = re.compile(r"[!-~]{1,255}")
_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "client_secret": ("client_secret_file",),
    "tls": ("client_certificate", "client_key"),
    "private_key_jwt": (),
}
_Way = Literal["client_secret", "tls", "private_key_jwt"]
_Audience = Literal["issuer", "token_endpoint"]
_Kind = Literal["access_token", "id_token"]


def _endpoint(value: str, surroundings: Surroundings) -> str:
    if not value.startswith("https://"):
        raise Wrong("must be an https URL, as what is sent there is worth as much as a password")
    return endpoint_url(value, surroundings)


def _client_id(value: str, surroundings: Surroundings) -> str:
    filled = expand(value, surroundings)
    if not _PRINTABLE.fullmatch(filled):
        raise Wrong(f"{comes_to(filled)}; a client id is 1 to 255 printable ASCII characters without blanks")
    return filled


def _scope(value: str, _: Surroundings) -> str:
    if not _SCOPE.fullmatch(value):
        raise Wrong('must be scopes with one blank between them, as in "openid https://api.example.com/.default"')
    return value


def _printable(value: str, _: Surroundings) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise Wrong("must be 1 to 255 printable ASCII characters without blanks")
    return value


def _resource(value: str, _: Surroundings) -> str:
    """RFC 8707 §2: an absolute URI without a fragment."""
    if not _PRINTABLE.fullmatch(value) or not urlsplit(value).scheme or "#" in value:
        raise Wrong(f'{shown(value)} is no absolute URI; write it as in "https://api.example.com"')
    return value


_Text = Annotated[str, text(_printable)]


def _ways(words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """One way to show who we are, with all that it takes and nothing of the others."""
    way = words.get("client_authentication", "client_secret")
    if not isinstance(way, str) or way not in _FILES:
        return
    chosen = f'client_authentication = "{way}"'
    needed = () if "client_secret" in words else _FILES[way]
    yield from ((word, f"is missing; {chosen} needs {listed(needed)}") for word in needed if word not in words)
    for other, theirs in _FILES.items():
        said = f'means nothing with {chosen}; leave it out, or write client_authentication = "{other}"'
        yield from ((word, said) for word in theirs if other != way and word in words)


class OAuth2(Section):
    """A token that an OAuth 2.0 or OpenID provider gives us for client credentials.

    Where it is: `issuer`, whose documents say the rest, or `token_endpoint`. Just one way to show who we are:
    `client_secret_file`; `client_certificate` and `client_key`; or private_key_jwt, which our own key signs.
    `expected_subject` and `expected_audience` are what AWS will read in the token: no other is shown to it, and trust
    policies are written with them.
    """

    answers: ClassVar[Mapping[str, str]] = {
        "client_secret": 'is a secret, and none stands here; write client_secret_file = "/path", or '
        'client_secret_file = "credential:NAME"',
        "scopes": 'is written scope = "…", with blanks between several',
        "subject": "is said by the provider here; what it must be is written expected_subject",
        "lifetime": "is for the provider to say here; leave it out",
    }

    source: Annotated[Literal["oauth2"], one_of(Literal["oauth2"])]
    issuer: Annotated[str, text(issuer_url)] | None = Field(None, examples=['"https://login.example.com/realms/prod"'])
    token_endpoint: Annotated[str, text(_endpoint)] | None = Field(
        None, examples=['"https://login.example.com/realms/prod/protocol/openid-connect/token"']
    )
    client_id: Annotated[str, text(_client_id)] = Field(examples=['"rolecall"'])
    client_authentication: Annotated[_Way, one_of(_Way)] = "client_secret"
    client_secret_file: SecretPath | None = Field(None, examples=['"credential:client-secret"'])
    client_certificate: FilePath | None = Field(None, examples=['"/etc/rolecall/client.pem"'])
    client_key: SecretPath | None = Field(None, examples=['"credential:client-key"'])
    assertion_audience: Annotated[_Audience, one_of(_Audience)] = "issuer"
    scope: Annotated[str, text(_scope)] | None = Field(None, examples=['"openid"'])
    audience: _Text | None = Field(None, examples=['"sts.amazonaws.com"'])
    resource: Annotated[tuple[str, ...], array(_resource, of="URIs", single=True)] = Field(
        (), examples=['"https://sts.amazonaws.com"']
    )
    token: Annotated[_Kind, one_of(_Kind)] = "access_token"  # noqa: S105 - a kind of token
    expected_subject: _Text | None = Field(None, examples=['"rolecall"'])
    expected_audience: _Text | None = Field(None, examples=['"sts.amazonaws.com"'])
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """One place at least, and what fits together."""
        if not words.keys() & {"issuer", "token_endpoint"}:
            yield "", 'does not say where the provider is; write issuer = "https://…", as its own documents have it'
        if words.get("assertion_audience") == "issuer" and "issuer" not in words:
            yield "assertion_audience", 'cannot be "issuer" without one; write issuer, or "token_endpoint"'
        if words.get("token") == "id_token" and "openid" not in str(words.get("scope", "")).split():
            yield "token", 'can be "id_token" only with "openid" in scope (OpenID Connect Core 1.0 §3.1.2.1)'
        yield from _ways(words)

    @property
    def signs(self) -> bool:
        """Whether our own key signs what shows the provider who we are."""
        return self.client_authentication == "private_key_jwt"

    @property
    def secret_paths(self) -> Mapping[str, object]:
        """The files with secrets in them, by their words."""
        named = {"client_secret_file": self.client_secret_file, "client_key": self.client_key}
        return {word: path for word, path in named.items() if path is not None}
