"""What may the operator say about callers inside AWS, who get tokens of ours for their IAM identity?"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field

from agent.settings.mistakes import Wrong, shown
from agent.settings.outputs import Address, parse_address
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, SecretPath, array, text
from agent.settings.web import Proxy, Regions

#: The words of a grant that say which AWS callers are meant, and the facts by which they are known.
WHO: Final[Mapping[str, str]] = {
    "aws_principal": "aws.principal",
    "aws_account": "aws.account",
    "aws_organization": "aws.organization",
}

_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
_ORGANIZATION: Final = re.compile(r"o-[a-z0-9]{10,32}", re.ASCII)
#: An ARN of a principal, or a pattern of some. Up to the account nothing stands for anything else: a star there could
#: stand for an account and all that follows it.
_PRINCIPAL: Final = re.compile(
    r"arn:aws(?:-[a-z]{1,10}){0,3}:(?:iam|sts)::(?P<account>[0-9]{12}|\*):(?P<rest>[!-9;-~]+)", re.ASCII
)
#: As AWS gives them: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound.html
_ISSUER: Final = re.compile(r"https://[a-z0-9-]{8,64}\.tokens\.sts\.global\.api\.(aws|amazonwebservices\.com\.cn)")
_EXAMPLE: Final = "arn:aws:iam::123456789012:role/deploy"


def _listen(value: str, _: Surroundings) -> Address:
    return parse_address(value)


def _server_id(value: str, _: Surroundings) -> str:
    url = value.removesuffix("/")
    parts = urlsplit(url)
    plain = not (parts.path or parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme != "https" or not plain or not re.fullmatch(r"[a-z0-9.-]+(:[0-9]{1,5})?", parts.netloc):
        raise Wrong(
            f"{shown(value)} does not say which server this is; write the URL under which callers reach it, without "
            'a path, as in "https://tokens.example.com"'
        )
    return url


def _issuer(value: str, _: Surroundings) -> str:
    if not _ISSUER.fullmatch(value):
        raise Wrong(
            f"{shown(value)} is no issuer of an AWS account; aws iam get-outbound-web-identity-federation-info shows "
            'it, as in "https://12345678-abcd-….tokens.sts.global.api.aws"'
        )
    return value


def _principal(value: str, _: Surroundings) -> str:
    found = _PRINCIPAL.fullmatch(value)
    if found is None:
        raise Wrong(f'{shown(value)} is no ARN of a principal, nor a pattern of some; write it as in "{_EXAMPLE}"')
    if found["rest"].startswith("assumed-role/"):
        name = found["rest"].split("/")[1]
        raise Wrong(f'names a session; write the role, as in "arn:aws:iam::{found["account"]}:role/{name}"')
    if found["rest"].startswith("role/") and found["rest"].count("/") > 1:
        name = found["rest"].rpartition("/")[2]
        raise Wrong(f"has the path of the role, which AWS does not tell of its sessions; leave that out: …:role/{name}")
    return value


def _account(value: str, _: Surroundings) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise Wrong(f'{shown(value)} is no AWS account; it has 12 digits, as in "123456789012"')
    return value


def _organization(value: str, _: Surroundings) -> str:
    if not _ORGANIZATION.fullmatch(value):
        raise Wrong(f'{shown(value)} is no id of an AWS organization; write it as in "o-a1b2c3d4e5"')
    return value


#: ARNs of principals, or patterns of them; for roles without their paths.
Principals = Annotated[tuple[str, ...], array(_principal, of="ARNs", single=True)]
Accounts = Annotated[tuple[str, ...], array(_account, of="accounts", single=True)]
Organizations = Annotated[tuple[str, ...], array(_organization, of="organizations", single=True)]


class AwsCallers(Section):
    """A TLS listener on which workloads inside AWS get tokens for a proof of their IAM identity.

    `server_id` is the URL under which they reach it: proofs are bound to it. `regions` are those whose STS is asked,
    which is reached as [sts] says; none means that of [sts]. `issuers` are the accounts' own, whose tokens from
    GetWebIdentityToken are taken as well; `ca_bundle` and `proxy` are for fetching their keys.
    """

    listen: Annotated[Address, text(_listen)] = Field("0.0.0.0:8443", validate_default=True)
    server_id: Annotated[str, text(_server_id)] = Field(examples=['"https://tokens.example.com"'])
    certificate: FilePath = Field(examples=['"/etc/ssl/tokens.example.com/fullchain.pem"'])
    private_key: SecretPath = Field(examples=['"credential:tls-key"'])
    regions: Regions = Field((), examples=['["eu-central-1"]'])
    issuers: Annotated[tuple[str, ...], array(_issuer, of="URLs")] = Field(
        (), examples=['["https://12345678-abcd-….tokens.sts.global.api.aws"]']
    )
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])


def aws_grant(words: Mapping[str, object], others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is wrong in a grant to AWS callers; `others` are the words by which it names callers on this machine."""
    named = [word for word in WHO if words.get(word)]
    if not named:
        return
    first = named[0]
    if others or words.get("anyone") is True:
        other = others[0] if others else "anyone"
        yield (
            other,
            f'cannot stand beside "{first}": of a caller inside AWS nothing else is known; leave one of them out',
        )
    if "roles" in words:
        yield "roles", f'cannot stand beside "{first}": callers inside AWS are given tokens; write audiences instead'
    open_to_all = [one for one in _texts(words.get("aws_principal")) if not _of_one_account(one)]
    if open_to_all and not words.get("aws_account") and not words.get("aws_organization"):
        said = f"{shown(open_to_all[0])} fits principals of any account, and anybody can have one"
        yield "aws_principal", f"{said}; write the 12 digits of yours, or add aws_account or aws_organization"


def _texts(value: object) -> list[str]:
    several = value if isinstance(value, list) else [value]
    return [one for one in several if isinstance(one, str)]


def _of_one_account(principal: str) -> bool:
    found = _PRINCIPAL.fullmatch(principal)
    return found is None or found["account"] != "*"
