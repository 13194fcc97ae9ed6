"""How does a workload inside AWS get a token from a rolecall elsewhere? By showing it who AWS says it is."""

import argparse
import http.client
import json
import re
import socket
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from agent.authorities import trusting
from agent.cli.durations import seconds
from agent.cli.patience import patiently
from agent.cli.terminal import show_json
from agent.errors import AgentError, AgentUnreachable, CallerDenied, ConfigurationError, TokenRejected
from agent.secret import Secret

EXAMPLE: Final = "rolecall token exchange https://tokens.example.com --audience https://api.example.com"

#: How long an answer may take, in seconds: the server has STS asked meanwhile.
_PATIENCE: Final = 15.0
_LARGEST: Final = 65_536
_PRINTABLE: Final = re.compile(r"[ -~]{1,300}")


class Unreachable(AgentUnreachable):
    """The operator's turn: there is no token server, or not for us. Waiting does not change that."""

    retryable = False


def configure_exchange(parser: argparse.ArgumentParser) -> None:
    """Add its words. It needs no configuration: whoever calls it is somebody else's workload."""
    parser.add_argument("url", metavar="URL", help="where the server is, as in https://tokens.example.com")
    parser.add_argument("--audience", required=True, metavar="AUD", help="who is to take the token")
    parser.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE", help="what it is to be good for; may be repeated"
    )
    parser.add_argument("--server-id", metavar="ID", help="who the server says it is (default: its URL)")
    parser.add_argument(
        "--proof",
        choices=("presigned", "web-identity"),
        default="presigned",
        help="a presigned GetCallerIdentity, or a token from GetWebIdentityToken (default: presigned)",
    )
    parser.add_argument("--region", metavar="REGION", help="the region whose STS is used (default: as AWS's SDKs do)")
    parser.add_argument(
        "--timeout", type=seconds, default=5.0, metavar="5s", help="how long to try where there is no token yet"
    )
    parser.add_argument(
        "--ca-bundle", type=Path, metavar="FILE", help="authorities to trust instead of the public ones"
    )


def exchange(arguments: argparse.Namespace) -> int:
    """Get a token, and print it."""
    from agent.clients.proof import presigned, web_identity

    url = _server(arguments.url)
    server_id = arguments.server_id or f"https://{url.netloc}"
    prove = presigned if arguments.proof == "presigned" else web_identity
    wanted = f"/token?aud={quote(arguments.audience, safe='')}"
    if arguments.scope:
        wanted += f"&scope={quote(' '.join(arguments.scope), safe='')}"
    trust = _trust(arguments.ca_bundle)

    ready = [prove(server_id, arguments.region)]  # without AWS credentials, there is nothing to be patient about

    def ask(_: float) -> dict[str, Any]:
        return _ask(url, wanted, ready.pop() if ready else prove(server_id, arguments.region), trust)

    document = patiently(ask, arguments.timeout, f"a token from https://{url.netloc}")
    if arguments.json:
        show_json(document)
    else:
        print(document["token"])
    return 0


def _server(text: str) -> SplitResult:
    url = urlsplit(text)
    try:
        fit = url.scheme == "https" and url.hostname and url.port != 0 and url.path in {"", "/"}
    except ValueError:
        fit = False
    if not fit or url.query or url.fragment or "@" in url.netloc:
        raise ConfigurationError(
            f"{text[:200]!r} is not where a token server is", hint="write it as in https://tokens.example.com"
        )
    return url


def _trust(ca_bundle: Path | None) -> ssl.SSLContext:
    try:
        return trusting(ca_bundle)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the CA bundle {ca_bundle} cannot be used", hint="name a readable file of PEM certificates"
        ) from error


def _ask(url: SplitResult, wanted: str, proof: Secret, trust: ssl.SSLContext) -> dict[str, Any]:
    """The server's answer. No redirect is followed and no proxy used: the proof is for this server alone."""
    where = f"https://{url.netloc}"
    connection = http.client.HTTPSConnection(url.hostname or "", url.port or 443, timeout=_PATIENCE, context=trust)
    try:
        connection.request("GET", wanted, headers={"Authorization": proof.reveal(), "Host": url.netloc})
        answer = connection.getresponse()
        status, body = answer.status, answer.read(_LARGEST)
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(
            f"the certificate of {where} is not to be trusted: {error.verify_message}",
            hint="name the authority that it is from with --ca-bundle, if that is a private one",
        ) from error
    except socket.gaierror as error:
        raise Unreachable(f"there is no host {url.hostname}", hint="correct the URL") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Unreachable(f"{where} does not answer: {reason}", hint="see whether it can be reached") from error
    finally:
        connection.close()
    return _read(where, status, body)


def _read(where: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Unreachable(f"what answers at {where} is no token server", hint="correct the URL")
    if status == HTTPStatus.OK and isinstance(document.get("token"), str):
        return document
    raise _refused(where, status, document)


def _hint(said: str) -> str:
    """What to do about a proof that is not taken."""
    if "STS endpoint" in said:
        return "use the STS of one of aws_callers.regions there: see --region, and AWS_ENDPOINT_URL if it is set here"
    return "compare --server-id with aws_callers.server_id there, and both clocks"


def _refused(where: str, status: int, document: dict[str, Any]) -> AgentError:
    message = document.get("message")
    said = message if isinstance(message, str) and _PRINTABLE.fullmatch(message) else f"status {status}"
    what = f"{where} gives no token: {said.removesuffix('.')}"
    if status == HTTPStatus.UNAUTHORIZED:
        return TokenRejected(what, reason="proof", hint=_hint(said))
    if status == HTTPStatus.FORBIDDEN:
        return CallerDenied(
            what, hint="[[grants]] there with aws_principal and audiences; who this is: aws sts get-caller-identity"
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return AgentUnreachable(what, hint="try again in a moment; its log says more")
    return AgentError(what, hint="see docs/aws-callers.md")
