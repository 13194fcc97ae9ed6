import io
import json
import socket
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest

from agent.cli import main
from agent.jose import compact, signing_input
from agent.keys.files import write_new
from agent.keys.pem import PemKey, generate
from tests.fakes.issuing import JWKS, issuing

CONFIGURATION = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
file = "HERE/key.pem"
[identity]
source = "self_signed"
subject = "host:web-1"
lifetime = "5m"
tags = { team = "web" }
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[roles.deploy]
arn = "arn:aws:iam::123456789012:role/deploy"
[[grants]]
roles = ["backup", "deploy"]
anyone = true
"""
BACKUP, DEPLOY = "arn:aws:iam::123456789012:role/backup", "arn:aws:iam::123456789012:role/deploy"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_new(tmp_path / "key.pem", generate("ec-p256"))
    path = tmp_path / "rolecall.toml"
    path.write_text(CONFIGURATION.replace("HERE", str(tmp_path)))
    return path


def minted(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["token", "mint", "-c", str(config), *words]) == 0
    public = PemKey.read(config.parent / "key.pem").public
    claims: dict[str, Any] = jwt.decode(
        capsys.readouterr().out.strip(),
        jwt.PyJWK(dict(public.jwk), public.algorithm),
        [public.algorithm],
        options={"verify_aud": False},
    )
    return claims


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


# mint


def test_a_minted_token_is_good_and_says_what_the_configuration_says(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = minted(config, capsys)

    assert (claims["iss"], claims["sub"], claims["aud"]) == (
        "https://oidc.example.com",
        "host:web-1",
        "sts.amazonaws.com",
    )
    assert claims["https://aws.amazon.com/tags"] == {"principal_tags": {"team": ["web"]}}
    assert claims["exp"] - claims["iat"] == 300


def test_a_token_is_for_one_role_or_for_all_that_are_configured(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert minted(config, capsys, "--role", "backup")["https://aws.amazon.com/roles"] == [BACKUP]
    assert minted(config, capsys)["https://aws.amazon.com/roles"] == [BACKUP, DEPLOY]


def test_what_the_command_line_says_wins(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--audience", "vault", "--subject", "host:other", "--lifetime", "1h", "--claim", "a=b=c", "--claim", "d=")

    claims = minted(config, capsys, *words)

    assert (claims["aud"], claims["sub"], claims["a"], claims["d"]) == ("vault", "host:other", "b=c", "")
    assert claims["exp"] - claims["iat"] == 3600


GRANTED = """
[[grants]]
audiences = ["orders", "vault"]
unit = "web@*.service"
user = ["alice", "bob"]
subject = "${HOST}/${UNIT}"
scopes = ["read", "write"]
claims = { who = "${USER}", level = 3 }
lifetime = "2h"
[[grants]]
audiences = ["vault"]
user = "carol"
[[files]]
kind = "token"
path = "gcp.jwt"
audience = "gcp"
claims = { team = "web" }
"""


@pytest.fixture
def granting(config: Path) -> Path:
    config.write_text(config.read_text() + GRANTED)
    return config


def test_a_token_is_what_a_grant_gives_to_such_a_caller(granting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = minted(granting, capsys, "--audience", "orders", "--unit", "web@1.service", "--user", "alice")
    assert {name: claims[name] for name in claims.keys() - {"iat", "nbf", "exp", "jti"}} == {
        "iss": "https://oidc.example.com",
        "sub": f"{socket.gethostname()}/web@1.service",
        "aud": "orders",
        "scope": "read write",
        "who": "alice",
        "level": 3,
    }
    assert claims["exp"] - claims["iat"] == 7200


def test_so_much_as_is_asked_for_is_in_it(granting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--audience", "orders", "--unit", "web@1.service", "--user", "bob", "--scope", "write")
    claims = minted(granting, capsys, *words, "--lifetime", "90m")
    assert (claims["scope"], claims["exp"] - claims["iat"]) == ("write", 5400)


def test_the_first_grant_that_fits_counts_and_what_is_in_a_file_needs_nobody(
    granting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    carol = minted(granting, capsys, "--audience", "vault", "--user", "carol")
    assert (carol["sub"], carol.get("scope")) == ("host:web-1", None)
    assert minted(granting, capsys, "--audience", "gcp")["team"] == "web"


def test_a_token_for_an_audience_that_nobody_is_granted_comes_with_a_warning(
    granting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for audience, warned in (("valt", True), ("sts.amazonaws.com", False), ("gcp", False)):
        assert main(["token", "mint", "-c", str(granting), "--audience", audience]) == 0
        said = capsys.readouterr().err
        assert (f"warning: nobody is granted tokens for {audience}, but for orders, vault" in said) == warned


def test_what_is_written_out_is_made_as_it_is_written_out(granting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = minted(granting, capsys, "--audience", "orders", "--subject", "somebody", "--scope", "a", "--scope", "b")
    assert (claims["sub"], claims["scope"]) == ("somebody", "a b")
    assert "who" not in claims


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--audience", "orders"], "grants#2 names ${UNIT}, so its tokens depend on who asks"),
        (["--audience", "orders", "--user", "carol"], "nobody of whom this is known is granted tokens for orders"),
        (["--audience", "vault", "--user", "carol", "--scope", "read"], "the scope read is not granted there"),
        (["--audience", "else", "--user", "carol"], "nobody is granted tokens for else\nhint: grants have "),
        (
            ["--audience", "sts.amazonaws.com", "--user", "carol"],
            "nobody is granted tokens for sts.amazonaws.com\nhint: that is what opens roles: name the role",
        ),
        (["--user", "carol"], "the words that describe a caller mean nothing without --audience"),
        (
            ["--audience", "vault", "--user", "carol", "--subject", "me-and-you"],
            "--subject cannot stand beside the words that describe a caller",
        ),
        (["--audience", "vault", "--lifetime", "3h"], "a token of 3h could outlive what shows the key that signed it"),
    ],
)
def test_what_no_grant_gives_is_not_minted_as_if_one_did(
    words: list[str], says: str, granting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "mint", "-c", str(granting), *words]) == 2
    assert f"error: {says}" in capsys.readouterr().err


def test_where_there_are_no_roles_no_token_is_made_that_would_open_any(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, _, _ = CONFIGURATION.replace("HERE", str(config.parent)).partition("[sts]")
    config.write_text(before + '[[grants]]\naudiences = ["orders"]\nanyone = true\n')
    for words in ([], ["--audience", "sts.amazonaws.com"], ["--subject", "somebody"]):
        assert main(["token", "mint", "-c", str(config), *words]) == 2
        assert "there is no role that a token for STS would be for" in capsys.readouterr().err
    assert minted(config, capsys, "--audience", "orders")["aud"] == "orders"


def test_no_two_minted_tokens_have_one_id(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert minted(config, capsys)["jti"] != minted(config, capsys)["jti"]


def test_json_tells_when_it_expires(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "mint", "-c", str(config), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"token", "expires_at"}
    assert told["expires_at"].endswith("Z")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--role", "none"], "the configuration has no role 'none'"),
        (["--lifetime", "2h"], "a token of 2h could outlive what shows the key that signed it"),
        (["--subject", "short"], "the subject is 5 bytes long"),
        (["--audience", ""], "the audience is empty"),
        (["--claim", "azp=me"], "the claim azp cannot be set by hand"),
    ],
)
def test_what_cannot_be_minted_is_a_mistake_of_usage(
    config: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["token", "mint", "-c", str(config), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_claim_without_a_value_is_a_mistake_of_usage(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["token", "mint", "-c", str(config), "--claim", "scope"])

    assert ended.value.code == 2
    assert "write it as NAME=TEXT" in capsys.readouterr().err


def test_without_a_key_of_ours_there_is_nothing_to_mint(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    borrowed = '[identity]\nsource = "file"\nfile = "/run/token"\n'
    config.write_text(borrowed + CONFIGURATION[CONFIGURATION.index("[sts]") :])

    assert main(["token", "mint", "-c", str(config)]) == 2
    assert "has no [key]: its tokens come from somebody else" in capsys.readouterr().err


# show


def test_a_token_is_shown_and_said_not_to_be_verified(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(monkeypatch, compact(signing_input({"alg": "none"}, {"sub": "host:web-1", "exp": 0}), b"x") + "\n")

    assert main(["token", "show"]) == 0

    captured = capsys.readouterr()
    assert captured.err == "Not verified: anybody could have written this.\n"
    assert '"host:web-1"' in captured.out
    assert "1970-01-01 00:00:00 UTC" in captured.out


def test_json_says_that_it_is_not_verified_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(monkeypatch, compact(signing_input({"alg": "RS256"}, {"sub": "s"}), b"x"))

    assert main(["token", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "verified": False,
        "header": {"alg": "RS256"},
        "claims": {"sub": "s"},
    }


def test_a_token_on_the_command_line_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "show", compact(signing_input({}, {}), b"x")]) == 0
    assert "other users of this machine can read command lines" in capsys.readouterr().err


def test_what_a_stranger_wrote_cannot_command_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = {"\x1b[2J": "\x9b31m\r\n\x07", "exp": "\x1b]0;x\x07", "iat": -5, "nbf": True}
    piped(monkeypatch, compact(signing_input({}, hostile), b"x"))

    assert main(["token", "show"]) == 0

    shown = capsys.readouterr().out
    assert shown.isascii()
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert shown.count("not a date") == 3


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("", 2, "no token came in"),
        (" \n", 2, "no token came in"),
        ("x" * 70_000, 2, "what came in is too long to be a token"),
        ("hello", 1, "this is no signed JWT"),
        ("\N{SNOWMAN}", 1, "this is no signed JWT"),
    ],
)
@pytest.mark.parametrize("verb", [["show"], ["verify", "--jwks", "none.json"]])
def test_what_is_no_token_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: list[str],
    text: str,
    code: int,
    sentence: str,
) -> None:
    piped(monkeypatch, text)

    assert main(["token", *verb]) == code
    assert sentence in capsys.readouterr().err


# verify


def test_a_token_we_mint_verifies_against_the_key_we_show(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jwks = keys_shown(config, capsys)
    main(["token", "mint", "-c", str(config)])
    token = capsys.readouterr().out
    piped(monkeypatch, token)

    assert main(["token", "verify", "--jwks", str(jwks), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verified"]
    assert told["claims"]["sub"] == "host:web-1"


def test_what_was_checked_is_said_and_what_was_not(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jwks = keys_shown(config, capsys)
    main(["token", "mint", "-c", str(config)])
    piped(monkeypatch, capsys.readouterr().out)

    assert main(["token", "verify", "--jwks", str(jwks)]) == 0
    assert capsys.readouterr().err == "Verified: signature, times, audience; not the issuer.\n"


def test_a_token_for_somebody_else_does_not_verify(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jwks = keys_shown(config, capsys)
    main(["token", "mint", "-c", str(config), "--audience", "vault"])
    piped(monkeypatch, capsys.readouterr().out)

    assert main(["token", "verify", "--jwks", str(jwks)]) == 1
    said = capsys.readouterr().err
    assert "the token is not good: Audience doesn't match\nhint: its aud should be sts.amazonaws.com" in said


def keys_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    main(["keys", "show", "-c", str(config)])
    path = config.parent / "jwks.json"
    path.write_text(json.dumps({"keys": [json.loads(capsys.readouterr().out)]}))
    return path


def test_a_token_is_signed_by_the_key_that_the_ring_lets_sign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with issuing(tmp_path) as host:
        for words in (["keys", "rotate"], ["keys", "rotate", "--emergency", "--yes"], ["keys", "rotate"]):
            assert main([*words, "-c", str(host.config)]) == 0
        signing = [key["kid"] for key in json.loads(host.ring.read_text())["keys"] if key["state"] == "signing"]
        capsys.readouterr()
        assert main(["token", "mint", "-c", str(host.config)]) == 0
        token = capsys.readouterr().out.strip()
        assert [jwt.get_unverified_header(token)["kid"]] == signing
        keys = {key["kid"]: key for key in json.loads((tmp_path / "site" / JWKS).read_text())["keys"]}
        assert len(keys) == 2
        claims = jwt.decode(token, jwt.PyJWK(keys[signing[0]]), audience="sts.amazonaws.com")
        assert claims["iss"] == "https://oidc.example.com"


PROVIDED = """
[identity]
source = "oauth2"
token_endpoint = "https://127.0.0.1:1/token"
client_id = "us"
client_secret_file = "{secret}"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
"""


@pytest.mark.parametrize("words", [("--audience", "a"), ("--subject", "b"), ("--lifetime", "5m"), ("--claim", "c=d")])
def test_what_a_provider_decides_cannot_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    config = tmp_path / "provided.toml"
    config.write_text(PROVIDED.format(secret=tmp_path / "secret"))

    assert main(["token", "mint", "-c", str(config), *words]) == 2

    assert f"{words[0]} cannot be chosen" in capsys.readouterr().err


def test_a_provider_that_gives_no_token_is_said_to_give_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, secret = tmp_path / "provided.toml", tmp_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o600)
    config.write_text(PROVIDED.format(secret=secret))

    assert main(["token", "mint", "-c", str(config)]) == 1

    told = capsys.readouterr()
    assert "127.0.0.1:1 cannot be reached" in told.err
    assert "hunter2" not in told.err + told.out
