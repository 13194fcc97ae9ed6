"""Logins with our tokens, on a real Vault that is set up by the commands we write; the sandbox's one says the same."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from agent.cli import main
from agent.clock import SystemClock
from agent.sandbox import PracticeIssuer, Sandbox, World, in_thread
from agent.sandbox.trusting.as_json import relying_parties_from_json
from agent.settings import load
from tests.live.test_relying_parties import FLAGS, Installed
from tests.live.vault.command import install
from tests.live.vault.running import BINARY, WHY_NOT, Vault, running_vault
from tests.unit.sandbox.scene import ISSUER, ec_key, rsa_key

pytestmark = pytest.mark.skipif(BINARY is None, reason=WHY_NOT)

ROLES: dict[str, dict[str, Any]] = {
    "web": {"bound_audiences": ["vault"], "bound_subject": "host:web-1"},
    "several": {"bound_audiences": ["vault", "other"]},
    "anyone": {"bound_subject": "host:web-1"},
    "unit": {"bound_audiences": ["vault"], "bound_claims": {"unit": "backup.service"}},
    "either": {"bound_audiences": ["vault"], "bound_claims": {"unit": ["a", "b"]}},
    "glob": {"bound_audiences": ["vault"], "bound_claims": {"unit": "backup@*"}, "bound_claims_type": "glob"},
    "deep": {"bound_audiences": ["vault"], "bound_claims": {"/rolecall/unit": "a"}},
    "flag": {"bound_audiences": ["vault"], "bound_claims": {"flag": True}},
    "user": {"bound_audiences": ["vault"], "user_claim": "unit"},
    "skewed": {"bound_audiences": ["vault"], "clock_skew_leeway": 10, "expiration_leeway": 20, "not_before_leeway": 30},
}
#: A role, and how the claims of a token differ from those of a good one; numbers of times are seconds from now.
LOGINS: list[tuple[str, dict[str, Any]]] = [
    ("web", {}),
    ("nobody", {}),
    ("", {}),
    ("web", {"iss": ISSUER + "/"}),
    ("web", {"iss": None}),
    ("web", {"sub": "host:web-2"}),
    ("web", {"sub": None}),
    ("web", {"aud": "other"}),
    ("web", {"aud": ["x", "vault"]}),
    ("web", {"aud": None}),
    ("web", {"aud": "VAULT"}),
    ("several", {"aud": "other"}),
    ("several", {"sub": 7}),
    ("several", {"sub": True}),
    ("unit", {"unit": 7}),
    ("unit", {"unit": {"a": ["b", True], "c": {"d": None}}}),
    ("web", {"iss": ["a"]}),
    ("web", {"jti": {"a": "b"}}),
    ("anyone", {}),
    ("anyone", {"aud": None}),
    ("anyone", {"aud": []}),
    ("web", {"exp": -30}),
    ("web", {"exp": -90}),
    ("web", {"nbf": 30}),
    ("web", {"nbf": 90}),
    ("web", {"iat": 30}),
    ("web", {"iat": 90}),
    ("web", {"exp": None}),
    ("web", {"exp": None, "nbf": -100, "iat": -100}),
    ("web", {"exp": None, "nbf": -300, "iat": -300}),
    ("web", {"nbf": None, "iat": None, "exp": 190}),
    ("web", {"nbf": None, "iat": None, "exp": 300}),
    ("web", {"nbf": None, "iat": None, "exp": None}),
    ("skewed", {"exp": -5}),
    ("skewed", {"exp": -20}),
    ("skewed", {"exp": None, "nbf": None, "iat": -25}),
    ("skewed", {"exp": None, "nbf": None, "iat": -40}),
    ("skewed", {"nbf": None, "iat": None, "exp": 35}),
    ("skewed", {"nbf": None, "iat": None, "exp": 60}),
    ("unit", {}),
    ("unit", {"unit": "backup.service"}),
    ("unit", {"unit": ["x", "backup.service"]}),
    ("unit", {"unit": "other"}),
    ("unit", {"unit": {"a": "b"}}),
    ("either", {"unit": "b"}),
    ("either", {"unit": "c"}),
    ("glob", {"unit": "backup@1"}),
    ("glob", {"unit": "backup"}),
    ("glob", {"unit": ["x", "backup@"]}),
    ("deep", {"rolecall": {"unit": "a"}}),
    ("deep", {"rolecall": {"unit": "b"}}),
    ("deep", {}),
    ("flag", {"flag": True}),
    ("flag", {"flag": False}),
    ("flag", {"flag": "true"}),
    ("user", {}),
    ("user", {"unit": "a"}),
    ("user", {"unit": 7}),
]


@dataclass
class Both:
    """A real Vault and the sandbox's one, both of which read one issuer."""

    vault: Vault
    sandbox: Sandbox

    def log_in(self, role: str, token: str) -> tuple[tuple[int, str], tuple[int, str]]:
        """What the real one says, and what ours: the status, and the error."""
        return self._asked(self.vault.address, role, token), self._asked(
            f"{self.sandbox.endpoint_url}/vault", role, token
        )

    def _asked(self, base: str, role: str, token: str) -> tuple[int, str]:
        body = json.dumps({"role": role, "jwt": token}).encode()
        request = Request(f"{base}/v1/auth/jwt/login", body, {"Content-Type": "application/json"}, method="POST")
        try:
            with urlopen(request, timeout=20) as answer:
                assert json.loads(answer.read())["auth"]["client_token"].startswith("hvs.")
                return answer.status, ""
        except HTTPError as error:
            return error.code, " ".join(json.loads(error.read())["errors"])


@contextmanager
def both(site: Path, roles: dict[str, dict[str, Any]]) -> Iterator[Both]:
    """Vault reads the issuer at its own URL, through the sandbox's proxy, and trusts the sandbox's authority."""
    known = [{"name": name, "token_policies": ["p"], **role} for name, role in roles.items()]
    auth = {"issuer": ISSUER, "bound_issuer": ISSUER, "roles": known}
    world = World(relying_parties=relying_parties_from_json({"vault": [auth]}))
    with in_thread(Sandbox(world, sites={ISSUER: site}, public=True)) as sandbox:
        assert sandbox.proxy_url is not None
        with running_vault(HTTPS_PROXY=sandbox.proxy_url, SSL_CERT_FILE=str(sandbox.ca_file)) as vault:
            vault.initialise()
            yield Both(vault, sandbox)


def set_up(vault: Vault, roles: dict[str, dict[str, Any]]) -> None:
    vault.write("sys/auth/jwt", type="jwt")
    vault.write("auth/jwt/config", oidc_discovery_url=ISSUER, bound_issuer=ISSUER)
    for name, role in roles.items():
        vault.write(f"auth/jwt/role/{name}", role_type="jwt", user_claim=role.get("user_claim", "sub"), **{
            word: one for word, one in role.items() if word != "user_claim"
        })  # fmt: skip


def token(issuer: PracticeIssuer, changed: dict[str, Any]) -> str:
    now = SystemClock().now()
    seconds = int(now.timestamp())
    times = {name: seconds + one for name, one in changed.items() if name in ("exp", "nbf", "iat") and one is not None}
    base = {**issuer.claims(now - timedelta(seconds=10)), "sub": "host:web-1", "aud": "vault"}
    whole = {**base, **changed, **times}
    return issuer.sign({name: value for name, value in whole.items() if value is not None})


def test_a_real_vault_says_the_same_to_every_token(tmp_path: Path) -> None:
    ours = PracticeIssuer(ISSUER, rsa_key())
    curve = PracticeIssuer(ISSUER, ec_key(256), "curve")
    ours.publish(tmp_path)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [ours.jwk, curve.jwk]}))
    with both(tmp_path, ROLES) as here:
        set_up(here.vault, ROLES)
        taken = 0
        for role, changed in LOGINS:
            real, told = here.log_in(role, token(ours, changed))
            assert told == real, (role, changed)
            taken += real[0] == 200
        assert 15 < taken < len(LOGINS) - 15

        good = token(ours, {})
        stranger = token(PracticeIssuer(ISSUER, rsa_key(1)), {})
        for shown in (
            token(curve, {}),
            stranger,
            token(PracticeIssuer(ISSUER, rsa_key(1), "unknown"), {}),
            good[:-4] + "AAAA",
            good.rpartition(".")[0] + ".",
            "a.b.c",
            "",
        ):
            real, told = here.log_in("web", shown)
            assert told[0] == real[0], shown
        assert here.log_in("web", token(curve, {}))[0][0] == 200


def test_both_look_up_a_new_key_and_never_doubt_a_known_one(tmp_path: Path) -> None:
    old, new = PracticeIssuer(ISSUER, rsa_key()), PracticeIssuer(ISSUER, rsa_key(1), "next-key")
    old.publish(tmp_path)
    with both(tmp_path, ROLES) as here:
        set_up(here.vault, ROLES)

        def statuses(*issuers: PracticeIssuer) -> list[list[int]]:
            return [[status for status, _ in here.log_in("web", token(issuer, {}))] for issuer in issuers]

        assert statuses(old, new) == [[200, 200], [400, 400]]
        new.publish(tmp_path)  # in place of the old one, which is believed on until somebody shows the new one
        assert statuses(old, new, old) == [[200, 200], [200, 200], [400, 400]]


@pytest.mark.parametrize("subject", ["host:web-1", "host:a'b\"c$$HOME`id`\\n%{if}$${x} é"])
def test_the_commands_that_are_written_are_all_that_vault_has_to_be_told(subject: str, tmp_path: Path) -> None:
    home, tools = tmp_path / "rolecall", tmp_path / "tools"
    assert main(["init", "--directory", str(home), *FLAGS, "--subject", subject, "--relying-party", "vault"]) == 0
    here = Installed(home, load(home / "rolecall.toml", environ={}, host=socket.gethostname()))
    install(tools)
    with both(home / "site", {}) as vaults:
        vaults.vault.policy("backup", {"secret/*": "read"})
        environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "VAULT_ADDR": vaults.vault.address,
            "VAULT_TOKEN": vaults.vault.root,
            "POLICIES": "backup",
        }
        for _ in range(2):  # a second time changes nothing
            script = home / "relying-parties/vault/commands.sh"
            done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        (role,) = json.loads(_list(vaults.vault, "auth/jwt/role"))["data"]["keys"]
        for audience, changed, status in [
            ("vault", {}, 200),
            ("other", {}, 400),
            ("vault", {"subject": "host:other"}, 400),
        ]:
            value = asyncio.run(here.token(audience, **changed))
            assert vaults.log_in(role, value)[0][0] == status
        told = vaults.vault.read(f"auth/jwt/role/{role}")["data"]
        assert told["token_policies"] == ["backup"]


def _list(vault: Vault, path: str) -> bytes:
    request = Request(f"{vault.address}/v1/{path}?list=true", headers={"X-Vault-Token": vault.root})
    with urlopen(request, timeout=20) as answer:
        return bytes(answer.read())
