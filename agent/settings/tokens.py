"""What may the operator say about our identity token, and about who issues it?"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, PlainValidator, ValidationInfo

from agent.settings.cognito import Cognito
from agent.settings.issuer_url import issuer_url
from agent.settings.mistakes import Wrong, comes_to, kind_of, shown, shown_word
from agent.settings.oauth2 import OAuth2
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, Flag, Reader, SecretPath, array, expand, one_of, read_text, span, text
from agent.settings.web import Proxy
from agent.tokens import MOST_TAGS, one_tag, tag_name_fault, tag_value_fault

#: What AWS takes in names of sessions and source identities.
_IDENTITY = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")


class Issuer(Section):
    """The issuer: the https URL under which its documents are found, byte for byte as in tokens and in IAM.

    `ca_bundle` and `proxy` are for reading them back as the world does: with a private CA, or from behind a proxy.
    """

    url: Annotated[str, text(issuer_url)] = Field(examples=['"https://oidc.example.com"'])
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])


def _subject(value: str, surroundings: Surroundings) -> str:
    """STS takes no less than 6 characters; others who trust the issuer no more than 127 bytes."""
    subject = expand(value, surroundings)
    if not subject.isprintable():
        raise Wrong("has characters that cannot be printed")
    if subject != subject.strip():
        raise Wrong("begins or ends with a blank, which nobody will see in a trust policy; leave it out")
    size = len(subject.encode())
    if not 6 <= size <= 127:
        raise Wrong(f"{comes_to(subject)}; it must be 6 to 127 bytes long, and is {size}")
    return subject


def _audience(value: str, _: Surroundings) -> str:
    if not 1 <= len(value) <= 255 or not value.isprintable() or " " in value:
        raise Wrong('must be 1 to 255 characters without blanks; AWS expects "sts.amazonaws.com"')
    return value


def _source_identity(value: str, surroundings: Surroundings) -> str:
    """Fill in and check a source identity, by the rules of STS. Raises Wrong."""
    identity = expand(value, surroundings)
    if not _IDENTITY.fullmatch(identity):
        raise Wrong(f"{comes_to(identity)}; AWS takes 2 to 64 characters out of A-Z a-z 0-9 _ + = , . @ -")
    return identity


def _tag_key(value: str, _: Surroundings) -> str:
    if fault := tag_name_fault(value):
        raise Wrong(f"the name of the tag {fault}")
    return value


def session_tags(read_value: Reader[str]) -> PlainValidator:
    """Take session tags, names to values, by the rules of STS; `read_value` says what stands for a value."""

    def check(value: object, info: ValidationInfo) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise Wrong(f'must be a table of names and texts, as in {{ team = "web" }}, not {kind_of(value)}')
        parts: list[tuple[str, str]] = []
        found: dict[str, str] = {}
        for key, given in value.items():
            try:
                _tag_key(key, Surroundings.of(info))
                found[key] = read_text(given, read_value, Surroundings.of(info))
            except Wrong as wrong:
                parts += [(f".{shown_word(key)}", said) for _, said in wrong.parts]
        if one_tag(found):
            parts.append(("", "has names that differ only in upper and lower case; to AWS they are the same tag"))
        if len(value) > MOST_TAGS:
            parts.append(("", f"has {len(value)} tags; AWS takes at most {MOST_TAGS}"))
        if parts:
            raise Wrong(parts=parts)
        return found

    return PlainValidator(check)


def _tag_value(value: str, surroundings: Surroundings) -> str:
    filled = expand(value, surroundings)
    if fault := tag_value_fault(filled):
        raise Wrong(f"the value of the tag {fault}")
    return filled


#: Session tags: names to values, templates filled in.
Tags = Annotated[Mapping[str, str], session_tags(_tag_value)]


class SelfSigned(Section):
    """Tokens that we sign ourselves. Templates are filled in; times are timedeltas."""

    source: Annotated[Literal["self_signed"], one_of(Literal["self_signed"])] = "self_signed"
    subject: Annotated[str, text(_subject)] = Field("host:${HOST}", validate_default=True)
    audience: Annotated[str, text(_audience)] = "sts.amazonaws.com"
    lifetime: Annotated[timedelta, span("1m", "1h")] = timedelta(minutes=5)
    pin_roles: Flag = True
    tags: Tags = Field({}, examples=['{ team = "web" }'])
    transitive_tags: Annotated[tuple[str, ...], array(_tag_key, of="names of tags")] = Field((), examples=['["team"]'])
    source_identity: Annotated[str, text(_source_identity)] | None = Field(None, examples=['"${HOST}"'])

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Only a tag that there is can be passed on."""
        tags, transitive = words.get("tags", {}), words.get("transitive_tags", [])
        if isinstance(tags, Mapping) and isinstance(transitive, list):
            for number, name in enumerate(transitive, start=1):
                if isinstance(name, str) and name and name not in tags:
                    yield (
                        f"transitive_tags#{number}",
                        f"{shown(name)} is none of the tags in identity.tags; add it there",
                    )


class FromFile(Section):
    """A token that somebody else keeps fresh in a file, as Kubernetes does."""

    source: Annotated[Literal["file"], one_of(Literal["file"])]
    file: SecretPath = Field(examples=['"/var/run/secrets/tokens/aws"'])


Identity = SelfSigned | FromFile | OAuth2 | Cognito


def signs(identity: Identity | None) -> bool:
    """Whether our own key signs: the token itself, or what shows a provider who we are."""
    return isinstance(identity, SelfSigned) or (isinstance(identity, OAuth2) and identity.signs)


#: The kinds of [identity], by their `source`.
SOURCES: Final[Mapping[str, type[Identity]]] = {
    "self_signed": SelfSigned,
    "file": FromFile,
    "oauth2": OAuth2,
    "cognito": Cognito,
}
