"""What on this machine would keep programs from asking us, or have them tell others what is ours?

AWS's SDKs ask the container endpoint last but one of all that they know: keys, profiles and web identities come first.
What is found is of the environment of whoever runs this, and of what the machine gives to everybody.
"""

import configparser
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent.doctor import Finding, Severity, Sureness, Tried

FULL_URI: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
RELATIVE_URI: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a name, not a token
TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - a name, not a token

#: What is set for everybody who signs in (pam_env).
EVERYBODY: Final = Path("/etc/environment")
_LARGEST: Final = 65_536

#: Variables by which SDKs find other credentials first, and what these are.
_FIRST: Final = (
    (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "keys", "the keys in AWS_ACCESS_KEY_ID"),
    (("AWS_PROFILE", "AWS_DEFAULT_PROFILE"), "profile", "the profile that {name} names"),
    (("AWS_WEB_IDENTITY_TOKEN_FILE",), "web identity", "the token file in AWS_WEB_IDENTITY_TOKEN_FILE"),
)
#: Where profiles are: the variable that names the file, and where it usually is below HOME.
_PROFILES: Final = (("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), ("AWS_CONFIG_FILE", ".aws/config"))
#: Settings of a profile by which it gives credentials.
_GIVING: Final = (
    "aws_access_key_id", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file", "role_arn",
    "credential_source", "login_session",
)  # fmt: skip
_PROXIES: Final = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_AUTHORITIES: Final = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_USE: Final = "start programs with: rolecall exec ROLE -- COMMAND, which takes it out of their environment; or unset {}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where programs should ask, and for what.

    Attributes:
        host, port: where the agent hands out credentials.
        roles: their names.
        sts: the address of STS, if it is not AWS's own.
    """

    host: str
    port: int
    roles: Sequence[str]
    sts: str | None = None

    @property
    def address(self) -> str:
        """As it stands in URLs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def examined(environ: Mapping[str, str], endpoint: Endpoint, everybody: Path = EVERYBODY) -> Tried:
    """The link, by an environment and by what the machine sets for everybody."""
    around = _Around({**variables(everybody), **environ}, environ, everybody, endpoint)
    findings = (
        *_first(around),
        *_default_profile(around),
        *_other_uri(around),
        *_token_file(around),
        *_proxy(around),
        *_other_places(around),
        *_authorities(around),
    )
    return Tried("environment", "" if findings else "nothing here would come before the endpoint", findings)


def variables(file: Path) -> dict[str, str]:
    """The variables of an /etc/environment; none if it cannot be read."""
    text = ""
    with suppress(OSError), file.open(encoding="utf-8", errors="replace") as opened:
        text = opened.read(_LARGEST)
    found = re.findall(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=([^\n#]*)", text, re.MULTILINE)
    return {name: value.strip().strip("\"'") for name, value in found}


@dataclass(frozen=True, slots=True)
class _Around:
    """All that is set, and where from."""

    all: Mapping[str, str] = field(repr=False)  # whatever lies around, keys among it
    here: Mapping[str, str] = field(repr=False)
    everybody: Path
    endpoint: Endpoint

    @property
    def is_meant_for_us(self) -> bool:
        """Whether programs that are started from here are to ask us."""
        return bool(self.here.get(FULL_URI))

    def where(self, name: str) -> str:
        """Where a variable is set."""
        return f"{name} is set" if name in self.here else f"{name} is set in {self.everybody}"

    def trap(self, what: str, hint: str, about: str = "") -> Finding:
        """What would keep programs from asking us: certain where they are meant to, possible elsewhere."""
        severity: Severity = "error" if self.is_meant_for_us else "warning"
        sure: Sureness = "certain" if self.is_meant_for_us else "possible"
        return Finding("environment", severity, what, hint, sure, about)


def _first(around: _Around) -> Iterator[Finding]:
    """What SDKs take before they ask a container endpoint."""
    for names, _, described in _FIRST:
        name = next((one for one in names if around.all.get(one)), None)
        if name:
            what = f"{around.where(name)}: programs use {described.format(name=name)}, and never ask the agent"
            yield around.trap(what, _USE.format(name))
    if RELATIVE_URI in around.all:
        empty = not around.all[RELATIVE_URI]
        what = "many SDKs stumble over it even though it is empty" if empty else "SDKs ask there, and not the agent"
        yield around.trap(f"{around.where(RELATIVE_URI)}: {what}", _USE.format(RELATIVE_URI))


def _default_profile(around: _Around) -> Iterator[Finding]:
    """A [default] profile that gives credentials; no variable switches it off."""
    for variable, usual in _PROFILES:
        path = Path(around.all.get(variable) or Path(around.all.get("HOME") or "/") / usual)
        parser = configparser.RawConfigParser(strict=False)
        # A file that cannot be read or understood gives no keys to an SDK either.
        with suppress(OSError, ValueError, configparser.Error):
            parser.read(path, encoding="utf-8")
        given = next((word for word in _GIVING if parser.has_option("default", word)), None)
        if given:
            yield around.trap(
                f"{path} has a [default] profile with {given}: programs of this user use that, and never ask the agent",
                "give the profile another name; or start programs with: rolecall exec ROLE -- COMMAND",
            )


def _other_uri(around: _Around) -> Iterator[Finding]:
    """An endpoint that is not ours, or is written so that some SDKs refuse it."""
    uri = around.all.get(FULL_URI)
    if not uri:
        return
    endpoint = around.endpoint
    right = f"http://{endpoint.address}/v1/credentials"
    hint = f"it should be {right}, or {right}/ROLE: see rolecall env ROLE"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        yield Finding("environment", "error", f"{FULL_URI} is no URL", hint)
        return
    role = parts.path.removeprefix("/v1/credentials").strip("/")
    if parts.scheme != "http":
        yield Finding(
            "environment", "error", f"{FULL_URI} begins with {parts.scheme}://, and the agent speaks http", hint
        )
    elif port != endpoint.port or host not in {endpoint.host, "localhost"}:
        said = f"{FULL_URI} leads to {host}:{port}, and the agent is at {endpoint.address}"
        yield Finding("environment", "error", said, hint)
    elif not parts.path.startswith("/v1/credentials") or (role and role not in endpoint.roles):
        said = f"{FULL_URI} asks for {parts.path}, and the roles are {', '.join(endpoint.roles)}"
        yield Finding("environment", "error", said, hint)
    elif host == "localhost":
        said = f"{FULL_URI} says localhost, which some SDKs refuse and others take for ::1"
        yield Finding("environment", "warning", said, hint)


def _token_file(around: _Around) -> Iterator[Finding]:
    """The file with the token, as SDKs would read it."""
    if TOKEN_FILE not in around.all:
        return
    path = around.all[TOKEN_FILE]
    hint = "see what it should be: rolecall env ROLE"
    if not path:
        yield Finding(
            "environment", "error", f"{TOKEN_FILE} is empty: many SDKs stumble over that", f"unset {TOKEN_FILE}"
        )
        return
    try:
        # NONBLOCK: a FIFO would hold us up for ever.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            content = file.read(_LARGEST)
    except OSError as error:
        said = f"{path}, which {TOKEN_FILE} names, cannot be read: {(error.strerror or str(error)).lower()}"
        yield Finding("environment", "error", said, "correct the path, or let this user read the file; " + hint)
        return
    if not content.strip():
        yield Finding("environment", "error", f"{path}, which {TOKEN_FILE} names, is empty", hint)
    elif len(content.split()) > 1 or content != content.strip():
        said = f"{path}, which {TOKEN_FILE} names, holds a newline or blanks, which SDKs refuse to send or send along"
        how = f'take them away: token=$(head -n 1 {path}) && printf %s "$token" > {path}'
        yield Finding("environment", "error", said, how)


def _proxy(around: _Around) -> Iterator[Finding]:
    """A proxy that would see our token, and what it is good for."""
    name = next((one for one in _PROXIES if around.all.get(one)), None)
    if name is None:
        return
    listed = {
        word.strip().strip("[]")
        for variable in ("NO_PROXY", "no_proxy")
        for word in around.all.get(variable, "").split(",")
    }
    if listed & {"*", around.endpoint.host}:
        return
    yield around.trap(
        f"{around.where(name)} and NO_PROXY does not name {around.endpoint.host}: SDKs for Rust, PHP and GDAL, and "
        "object_store, send the request with its token to the proxy",
        f"add {around.endpoint.host} and localhost to NO_PROXY and no_proxy, as rolecall env does",
    )


def _other_places(around: _Around) -> Iterator[Finding]:
    """Other endpoints of AWS, which get what is signed with our roles."""
    for name in sorted(around.all):
        value = around.all[name]
        if (name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_")) and value:
            ours = around.endpoint.sts is not None and value.rstrip("/") == around.endpoint.sts.rstrip("/")
            if not ours:
                yield Finding(
                    "environment",
                    "warning",
                    f"{around.where(name)}: programs send what they sign to another place than AWS",
                    f"if that is not meant, unset {name}",
                    "possible",
                )
    if around.is_meant_for_us and not (around.all.get("AWS_REGION") or around.all.get("AWS_DEFAULT_REGION")):
        said = "neither AWS_REGION nor AWS_DEFAULT_REGION is set: programs have credentials, and many ask for a region"
        yield Finding("environment", "note", said, "set AWS_REGION for them", "possible")


def _authorities(around: _Around) -> Iterator[Finding]:
    """Certificates that are to be trusted, and are not there."""
    for name in _AUTHORITIES:
        path = around.all.get(name)
        if path and not os.access(path, os.R_OK):
            yield Finding(
                "environment",
                "warning",
                f"{around.where(name)}, and {path} cannot be read: TLS of programs fails",
                f"correct or unset {name}",
                "likely",
            )
