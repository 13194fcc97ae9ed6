"""A configuration with which commands find an agent: two roles, one for a token, one for anyone."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.ports import own_port

TOKEN = "a-token-of-the-tests-0123456789"


@dataclass(frozen=True)
class Written:
    """The folder, and the files in it that matter."""

    home: Path

    @property
    def config(self) -> Path:
        return self.home / "rolecall.toml"

    @property
    def token(self) -> Path:
        return self.home / "backup.token"


def write_configuration(
    home: Path, *, credentials: int | str = 0, admin: int | str = 0, token: str | None = TOKEN
) -> Written:
    """Write it; a port of 0 is one where nobody listens. `backup` needs the token, `reports` does not."""
    written = Written(home)
    home.mkdir(exist_ok=True)
    if token is not None:
        written.token.write_text(token)
        written.token.chmod(0o600)
    (home / "identity").write_text("not read by commands")

    def address(said: int | str) -> str:
        return said if isinstance(said, str) else f"127.0.0.1:{said or own_port()}"

    written.config.write_text(f"""
[identity]
source = "file"
file = {json.dumps(str(home / "identity"))}
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[roles.reports]
arn = "arn:aws:iam::123456789012:role/reports"
[[grants]]
roles = ["backup"]
token_file = {json.dumps(str(written.token))}
[[grants]]
roles = ["reports"]
anyone = true
[listen]
credentials = "{address(credentials)}"
admin = "{address(admin)}"
""")
    return written


#: What the credentials listener answers to who may have the role.
SET = {
    "Code": "Success",
    "LastUpdated": "2026-11-20T12:00:00Z",
    "Type": "AWS-HMAC",
    "AccessKeyId": "ASIAEXAMPLE000000001",
    "SecretAccessKey": "made-up-secret-key",
    "Token": "made-up-session-token",
    "Expiration": "2026-11-20T13:00:00Z",
    "AccountId": "123456789012",
    "RoleArn": "arn:aws:iam::123456789012:role/backup",
}


def role_status(role: str, **changed: object) -> dict[str, object]:
    """One role of /status.json, in the best of health."""
    good: dict[str, object] = {
        "role": role,
        "state": "good",
        "ready": True,
        "usable": True,
        "key_id_ending": "0001",
        "left_seconds": 3000.0,
        "age_seconds": 600.0,
        "next_attempt_in_seconds": 1200.0,
        "problem": None,
        "hint": None,
        "failures": 0,
        "callers": [],
    }
    return good | changed


def status_json(*roles: dict[str, object]) -> dict[str, object]:
    """What /status.json says."""
    return {
        "version": "1.2.3",
        "running_for_seconds": 93784.0,
        "ready": all(role["ready"] for role in roles),
        "clock_offset_seconds": None,
        "roles": list(roles),
        "keys": [{"kid": "kid-1", "algorithm": "RS256", "state": "signing"}],
        "issuer": None,
        "listeners": [{"name": "credentials", "address": "http://127.0.0.1:9170"}],
    }
