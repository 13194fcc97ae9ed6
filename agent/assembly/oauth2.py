"""How are tokens had from an OAuth 2.0 provider?"""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.clock import RemoteClock
from agent.errors import ConfigurationError
from agent.events import Report
from agent.keys.pem import read_passphrase
from agent.secret import Secret
from agent.settings.oauth2 import OAuth2
from agent.tokens import Token
from agent.tokens.self_signed import Signer

if TYPE_CHECKING:
    from agent.tokens.oauth2.asking import Authentication
    from agent.tokens.oauth2.source import OAuth2Tokens


def oauth2_tokens(
    words: OAuth2,
    signer: Signer | None,
    credentials_directory: Path | None,
    *,
    clock: RemoteClock,
    token_id: Callable[[], str],
    report: Report,
    spread: Callable[[], float],
) -> "OAuth2Tokens":
    """The source of tokens that one provider gives us, for all roles: nothing is asked yet. Raises ConfigurationError.

    `signer` is needed where our own key shows the provider who we are; `token_id` gives a jti never given before.
    """
    from agent.tokens.oauth2.asking import Client, Place, Wanted
    from agent.tokens.oauth2.source import OAuth2Tokens, Provider

    authentication = _authentication(words, signer, token_id, report, credentials_directory)
    place = Place(words.issuer or "", words.token_endpoint or "", words.ca_bundle, words.proxy)
    wanted = Wanted(
        words.token,
        words.scope or "",
        words.audience or "",
        words.resource,
        words.expected_subject or "",
        words.expected_audience or "",
    )
    provider = Provider(place, Client(words.client_id, authentication), wanted, clock)
    return OAuth2Tokens(provider, clock, report=report, spread=spread)


async def fetched(
    words: OAuth2, signer: Signer | None, credentials_directory: Path | None, clock: RemoteClock
) -> Token:
    """One token, asked for now. Raises TokenUnavailable, TokenRefused, KeyUnavailable, ConfigurationError."""
    tokens = oauth2_tokens(
        words,
        signer,
        credentials_directory,
        clock=clock,
        token_id=lambda: str(uuid.uuid4()),
        report=lambda _: None,
        spread=lambda: 0.5,
    )
    return await tokens.token()


def _authentication(
    words: OAuth2, signer: Signer | None, token_id: Callable[[], str], report: Report, directory: Path | None
) -> "Authentication":
    from agent.tokens.oauth2.asking import ClientCertificate, ClientSecret, PrivateKeyJwt

    match words.client_authentication:
        case "client_secret":
            return ClientSecret(_reader(words.client_secret_file, directory, "client secret"))
        case "tls":
            assert words.client_certificate is not None  # the settings see to it
            assert words.client_key is not None
            key = _reader(words.client_key, directory, "client key")
            return ClientCertificate(words.client_certificate, words.client_key, key)
        case "private_key_jwt":
            if signer is None:
                raise ConfigurationError("a JWT is to show who we are, and there is no key to sign it with")
            return PrivateKeyJwt(signer, token_id, report, words.assertion_audience)


def _reader(path: Path | None, directory: Path | None, what: str) -> Callable[[], Secret]:
    """Read a secret from a file each time, since files are replaced. What it raises is KeyUnavailable."""
    assert path is not None  # the settings see to it

    def read() -> Secret:
        return read_passphrase(path, credentials_directory=directory, what=what)

    return read
