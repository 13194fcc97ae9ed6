"""Is a token good: by a rule of the configuration, or by what the command line says?"""

import argparse
import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from agent.cli.configuration import settings_of
from agent.cli.keys import credentials_directory
from agent.clock import SystemClock
from agent.errors import ConfigurationError
from agent.secret import Secret
from agent.verification import ALGORITHMS, Rule, Verified

_AUDIENCE = "sts.amazonaws.com"
#: What AWS STS takes; where nothing is said, a token is looked at as AWS would.
_USUAL = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")


def configure_verify(parser: argparse.ArgumentParser) -> None:
    """Say whose keys, and what the token has to be."""
    trust = parser.add_mutually_exclusive_group(required=True)
    trust.add_argument("--rule", metavar="NAME", help="by [verify.NAME] of the configuration, keys and all")
    trust.add_argument("--issuer", metavar="URL", help="take the keys from where this issuer publishes them")
    trust.add_argument("--jwks", type=Path, metavar="FILE", help="take the keys from a file; the issuer is not checked")
    parser.add_argument("--audience", metavar="AUD", help=f"default: {_AUDIENCE}")
    parser.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE", help="that it has to carry; may be repeated"
    )
    parser.add_argument(
        "--claim",
        type=_claim,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="that it has to have; may be repeated: of several values of one name, one",
    )
    parser.add_argument(
        "--algorithm",
        action="append",
        choices=ALGORITHMS,
        metavar="ALG",
        help="that it may be signed with; may be repeated (default: those that AWS takes)",
    )
    parser.add_argument("--jwks-url", metavar="URL", help="where the keys of the issuer are, without its discovery")
    parser.add_argument("--ca-bundle", type=Path, metavar="FILE", help="authorities that its site is verified against")
    parser.add_argument("--proxy", metavar="URL", help="of an HTTP proxy that leads to it")


def judged(token: Secret, arguments: argparse.Namespace) -> tuple[Mapping[str, object], str]:
    """The claims of a good token, and what was checked, in words.

    Raises TokenRejected or AgentError for one that is not, IssuerUnreadable, KeyUnavailable, ConfigurationError.
    """
    if arguments.rule is not None:
        return _by_rule(token, arguments).claims, f"as the rule {arguments.rule} wants it"
    if arguments.jwks is not None:
        return _by_file(token, arguments), f"signature, times, audience{_more(arguments)}; not the issuer"
    return _by_issuer(token, arguments).claims, f"signature, times, audience, issuer{_more(arguments)}"


def read_keys(path: Path) -> object:
    """The JWKS in a file. Raises ConfigurationError."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} holds no readable JWKS", hint="name a JSON file with public keys") from error


def _by_rule(token: Secret, arguments: argparse.Namespace) -> Verified:
    from agent.assembly.verifying import verify_once

    words = ("audience", "scope", "claim", "algorithm", "jwks_url", "ca_bundle", "proxy")
    if beside := [word for word in words if getattr(arguments, word)]:
        raise ConfigurationError(
            f"--{beside[0].replace('_', '-')} cannot stand beside --rule, which says all that there is to say",
            hint="leave it out, or write --issuer instead of --rule",
        )
    settings = settings_of(arguments.config)
    return asyncio.run(
        verify_once(
            settings,
            arguments.rule,
            token.reveal().encode(),
            credentials_directory=credentials_directory(),
            clock=SystemClock(),
        )
    )


def _by_issuer(token: Secret, arguments: argparse.Namespace) -> Verified:
    from agent.assembly.verifying import verify_published

    return asyncio.run(
        verify_published(
            _rule(arguments.issuer, arguments),
            arguments.jwks_url,
            token.reveal().encode(),
            ca_bundle=arguments.ca_bundle,
            proxy=arguments.proxy,
            clock=SystemClock(),
        )
    )


def _by_file(token: Secret, arguments: argparse.Namespace) -> Mapping[str, object]:
    """By PyJWT alone, as the doctor does it: also where a key set names no keys, having but one."""
    from agent.doctor.token import verified
    from agent.verification.rules import check

    keys = read_keys(arguments.jwks)
    claims = verified(
        token,
        keys,
        audience=arguments.audience or _AUDIENCE,
        issuer=None,
        algorithms=tuple(arguments.algorithm or _USUAL),
    )
    check(claims, _rule(str(claims["iss"]), arguments), SystemClock().now().timestamp())
    return claims


def _rule(issuer: str, arguments: argparse.Namespace) -> Rule:
    claims: dict[str, tuple[str, ...]] = {}
    for name, value in arguments.claim:
        claims[name] = (*claims.get(name, ()), value)
    return Rule(
        issuer,
        (arguments.audience or _AUDIENCE,),
        algorithms=tuple(arguments.algorithm or _USUAL),
        scopes=tuple(arguments.scope),
        claims=claims,
    )


def _more(arguments: argparse.Namespace) -> str:
    """What else was checked, for the sentence that says so."""
    return "".join(f", {name}" for name, asked in (("scopes", arguments.scope), ("claims", arguments.claim)) if asked)


def _claim(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("write it as NAME=VALUE")
    return name, value
