"""The whole file: its shape and defaults, every mistake said, all of them at once, and no secret with them."""

import contextlib
import tempfile
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies
from hypothesis.strategies import SearchStrategy

from agent.errors import ConfigurationError
from agent.settings import CredentialsFile, FromFile, Grant, Pem, SelfSigned, Settings, load
from agent.settings.agreement import disagreements
from agent.settings.mistakes import secrets_in
from agent.settings.reader import Reader
from agent.settings.section import Surroundings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
GOOD = (Path(__file__).parent / "good.toml").read_text("utf-8")
TABLE = tomllib.loads((Path(__file__).parent / "mistakes.toml").read_text("utf-8"))["mistake"]

#: One of each kind of secret that people have at hand; all made up.
CANARIES = {
    "aws-secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARYKEYa",
    "aws-id": "AKIAIOSFODNN7CANARY0",
    "hex": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "urlsafe": "q8Zt-3vX0b_CanaryCanary-5sJ2kQm1WnE7uY4rT6pL",
    "jwt": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.Y2FuYXJ5LWNhbmFyeQ",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAcanary\n-----END RSA PRIVATE KEY-----",
    "url": "https://canary:hunter2canary@example.com/path",
}


def test_the_settings_that_are_left_out_have_their_defaults(read: Read, tmp_path: Path) -> None:
    found = read(("[identity]\n", ""), ('source = "self_signed"\n', ""))
    assert found.path == tmp_path / "rolecall.toml"
    assert found.issuer is not None
    assert found.issuer.url == "https://oidc.example.com"
    assert isinstance(found.key, Pem)
    assert (found.key.file, found.key.directory) == (None, tmp_path / "keys")
    assert (found.key.passphrase_file, found.key.algorithm) == (None, None)
    assert isinstance(found.identity, SelfSigned)
    assert (found.identity.subject, found.identity.audience) == ("host:web-1", "sts.amazonaws.com")
    assert (found.identity.lifetime, found.identity.pin_roles) == (timedelta(minutes=5), True)
    assert (found.identity.tags, found.identity.transitive_tags) == ({}, ())
    assert found.identity.source_identity is None
    assert (found.sts.fips, found.sts.dualstack, found.sts.concurrency) == (False, False, 8)
    assert (found.sts.endpoint_url, found.sts.ca_bundle, found.sts.proxy) == (None, None, None)
    assert (found.sts.connect_timeout, found.sts.read_timeout) == (timedelta(seconds=5), timedelta(seconds=10))
    role = found.token_roles["backup"]
    assert (role.source, role.duration, role.session_name) == ("sts", timedelta(hours=1), "rolecall-web-1")
    assert (role.session_policy, role.policy_arns, role.tags) == (None, (), {})
    assert found.grants[0].token_overlap == timedelta(hours=1)
    assert found.grants[0].anyone is False
    assert found.publishing is None
    assert (tuple(found.listen.credentials), tuple(found.listen.admin)) == (("127.0.0.1", 9170), ("127.0.0.1", 9171))
    assert (found.listen.credentials_addresses, found.listen.imds) == ((found.listen.credentials,), None)
    assert (found.unit_tokens, found.containers, found.files) == (None, None, ())
    assert (found.log.level, found.log.format) == ("info", "auto")


def test_settings_never_change(read: Read) -> None:
    found = read()
    with pytest.raises(ValueError, match="frozen"):
        found.sts.region = "eu-west-1"  # type: ignore[misc]  # which is the point
    with pytest.raises(AttributeError):
        found.path = Path("/elsewhere")  # type: ignore[misc]  # the same


def test_a_token_from_a_file_needs_no_issuer_and_no_key(read: Read) -> None:
    found = read(
        ('[issuer]\nurl = "https://oidc.example.com"\n', ""),
        ('[key]\ncustodian = "pem"\ndirectory = "keys"\n', ""),
        ('source = "self_signed"', 'source = "file"\nfile = "/var/run/secrets/tokens/aws"'),
    )
    assert (found.issuer, found.key) == (None, None)
    assert isinstance(found.identity, FromFile)
    assert found.identity.file == Path("/var/run/secrets/tokens/aws")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_each_mistake_is_told_in_these_words(row: dict[str, object], mistakes: Mistakes, tmp_path: Path) -> None:
    change, environ, says = row.get("change", []), row.get("environ", {}), row["says"]
    assert isinstance(change, list)
    assert isinstance(environ, dict)
    assert isinstance(says, list)
    found = mistakes(*(tuple(pair) for pair in change), **environ)
    assert found == [str(line).replace("FILE", str(tmp_path / "rolecall.toml")) for line in says]


def test_all_mistakes_of_a_file_are_told_at_once(mistakes: Mistakes) -> None:
    found = mistakes(
        ('url = "https://oidc.example.com"', 'url = "http://oidc.example.com"'),
        ('custodian = "pem"', 'custodian = "pem"\nalgorithm = "none"'),
        ('source = "self_signed"', 'subject = "x"\nlifetime = 5\nspeed = 3'),
        ('region = "eu-central-1"', 'region = "here"\nfips = "no"\nproxy = 1'),
        ('role/backup"', 'role/backup"\nduration = "1s"\npolicy_arns = ["a", "b"]'),
        ('roles = ["backup"]', 'roles = ["web", "db"]\nunit = "x"'),
        ('credentials = "127.0.0.1:9170"', 'credentials = "0.0.0.0:9170"'),
        ('level = "info"', 'level = "all"'),
        ("", '\n[callers]\nrecognise = "no"\n[unit_tokens]\nrotate = "1s"\n[containers]\nengine = "x"\n'),
        ("", '\n[[files]]\nkind = "credentials"\npath = "a"\nrole = "x"\nprofile = "y"\nmode = "x"\n[extra]\n'),
        ROLECALL_TURBO="1",
    )
    assert {line.split(":")[0] for line in found} == {
        "issuer.url", "key.algorithm", "identity.subject", "identity.lifetime", "identity.speed", "sts.region",
        "sts.fips", "sts.proxy", "roles.backup.duration", "roles.backup.policy_arns#1", "roles.backup.policy_arns#2",
        "grants#1.unit", "files#1.mode", "callers.recognise", "containers.engine", "unit_tokens.rotate",
        "listen.credentials", "log.level", "extra", "ROLECALL_TURBO",
    }  # fmt: skip
    assert len(found) == 20


def test_an_empty_file_is_told_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_text("")
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ={}, host="web-1")
    assert [line.split(":")[0] for line in caught.value.what.splitlines()] == ["sts.region", "roles", "issuer", "key"]
    assert caught.value.hint == f"correct {path}; every setting is in docs/configuration.md"


def test_the_environment_overrides_what_it_may(read: Read) -> None:
    found = read(
        ROLECALL_LISTEN_CREDENTIALS="[::1]:0", ROLECALL_LISTEN_ADMIN="0.0.0.0:9171", ROLECALL_LOG_LEVEL="debug"
    )
    assert (tuple(found.listen.credentials), tuple(found.listen.admin)) == (("::1", 0), ("0.0.0.0", 9171))
    assert found.log.level == "debug"


def _holes() -> list[tuple[str, str, str]]:
    """List every place a secret could be written to: (where, old text, new text with CANARY in it)."""
    words = {
        'url = "https://oidc.example.com"': ["url"],
        'custodian = "pem"\ndirectory = "keys"': ["custodian", "file", "directory", "passphrase_file", "algorithm"],
        'source = "self_signed"': ["source", "subject", "audience", "lifetime", "pin_roles", "tags", "source_identity"],
        'region = "eu-central-1"': ["region", "endpoint_url", "ca_bundle", "proxy", "concurrency", "read_timeout"],
        'arn = "arn:aws:iam::123456789012:role/backup"': [
            "arn",
            "session_name",
            "policy",
            "policy_file",
            "policy_arns",
        ],
        'token_file = "/etc/rolecall/tokens/backup"': ["token_file", "anyone", "token_overlap", "unit"],
        'credentials = "127.0.0.1:9170"': ["credentials", "admin"],
        'level = "info"': ["level", "format"],
    }
    holes = [(word, old, f"{word} = CANARY") for old, names in words.items() for word in [*names, "secret_key"]]
    holes += [(f"{word}[]", old, f"{word} = [CANARY]") for old, names in words.items() for word in names]
    holes += [(f"name in {old[:9]}", old, "CANARY = 1") for old in words]
    return [*holes, ("role", 'roles = ["backup"]', "roles = [CANARY]"), ("table", "[log]", "[CANARY]")]


@pytest.mark.parametrize("kind", CANARIES)
def test_no_secret_is_ever_repeated(kind: str, tmp_path: Path) -> None:
    canary = CANARIES[kind]
    quoted = '"' + canary.replace("\n", "\\n") + '"'
    path = tmp_path / "rolecall.toml"
    for where, old, new in _holes():
        path.write_text(GOOD.replace(old, new.replace("CANARY", quoted), 1))
        try:
            load(path, environ={"ROLECALL_LOG_LEVEL": canary}, host="web-1")
        except ConfigurationError as error:
            told = f"{error.what}\n{error.hint}\n{error!r}\n{error.__cause__!r}\n{error.__context__!r}"
            for piece in (canary, canary[8:24], "hunter2canary"):
                assert piece not in told, where
        else:
            pytest.fail(f"the canary in {where} went unnoticed")


#: Sections beside those of GOOD, with every word that they have.
FURTHER = '[callers]\nexecutables = true\n[containers]\nengine = "podman"\n[unit_tokens]\n'
MORE = tomllib.loads((Path(__file__).parent / "more.toml").read_text("utf-8"))


def _with(name: str, words: str) -> str:
    """GOOD with that section, instead of its own or beside the others."""
    table, _, _ = name.partition(":")
    heading = f"[[{table}]]" if table in {"grants", "files"} else f"[{table}]"
    parts = [part for part in GOOD.split("\n\n") if not part.startswith(heading)]
    needed = FURTHER if table == "grants" else ""
    return "\n\n".join([*parts, f"{heading}\n{words}\n{needed}"])


@pytest.mark.parametrize("name", MORE)
def test_the_sections_in_which_canaries_are_put_are_good(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_text(_with(name, MORE[name]))
    assert load(path, environ={}, host="web-1").path == path


@pytest.mark.parametrize("name", MORE)
def test_no_secret_is_repeated_wherever_it_is_put_into_a_section(name: str, tmp_path: Path) -> None:
    """Beside a mistake, since some words, such as labels, may be anything."""
    path = tmp_path / "rolecall.toml"
    for line in MORE[name].splitlines():
        word, _, _ = line.partition(" = ")
        for canary in CANARIES.values():
            quoted = '"' + canary.replace("\n", "\\n") + '"'
            added = (f"{line}\npassword = {quoted}", f"{line}\n{quoted} = 1")
            for new in (f"{word} = {quoted}", f"{word} = [{quoted}]", *added):
                text = _with(name, MORE[name].replace(line, new, 1))
                path.write_text(text.replace('level = "info"', 'level = "mistake"'))
                with pytest.raises(ConfigurationError) as caught:
                    load(path, environ={}, host="web-1")
                error = caught.value
                told = f"{error.what}\n{error.hint}\n{error.__cause__!r}\n{error.__context__!r}"
                for piece in (canary, canary[8:24], "hunter2canary"):
                    assert piece not in told, (line, new)


def _values() -> SearchStrategy[object]:
    words = [
        "",
        "pem",
        "pkcs11",
        "tpm2",
        "aws_kms",
        "vault_transit",
        "directory",
        "s3",
        "https",
        "role:a",
        "sts",
        "${",
        "credential:a",
        "1h",
        "*",
        "127.0.0.1:1",
        "arn:aws:iam::123456789012:role/a",
    ]
    plain = (
        strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats()
        | strategies.text(max_size=20) | strategies.sampled_from(words) | strategies.datetimes()
    )  # fmt: skip
    names = strategies.text(max_size=8) | strategies.sampled_from(
        [
            "source",
            "custodian",
            "next",
            "to",
            "file",
            "url",
            "region",
            "roles",
            "arn",
            "tags",
            "policy_arns",
            "credentials",
            "audiences",
            "claims",
            "scopes",
            "subject",
            "lifetime",
            "anyone",
        ]
    )
    return strategies.recursive(
        plain, lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(names, inner, max_size=4)
    )


def _documents() -> SearchStrategy[dict[str, object]]:
    tables = ["issuer", "key", "rotation", "identity", "sts", "roles", "publishing", "listen", "log"]
    tables += ["grants", "callers", "unit_tokens", "containers", "files"]
    tables_of_several = strategies.lists(_tables(), max_size=3)
    several = strategies.fixed_dictionaries({}, optional={"grants": tables_of_several, "files": tables_of_several})
    some = strategies.dictionaries(strategies.sampled_from(tables) | strategies.text(max_size=5), _values(), max_size=9)
    return strategies.builds(lambda one, other: {**one, **other}, some, several)


def _tables() -> SearchStrategy[dict[str, object]]:
    """Tables of grants and files, with their own words and what people might write there."""
    words = [*Grant.words(), *CredentialsFile.words(), "uid", "service"]
    texts = ["alice", "1000", "a.service", "a@*.service", "*", "?", "a.slice", "/a", "${UNIT}", "${ROLE}x", "$", "0640"]
    texts += ["credentials", "web_identity_token", "default", "backup"]
    one = strategies.sampled_from(texts) | strategies.text(max_size=8)
    value = one | strategies.lists(one, max_size=3) | strategies.booleans() | strategies.integers() | _values()
    return strategies.dictionaries(strategies.sampled_from(words), value, max_size=8)


@given(words=_documents(), host=strategies.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_whatever_toml_gives_is_read_or_refused(words: dict[str, object], host: str) -> None:
    """Past the parser, so that values TOML can hold but nobody writes are tried as well."""
    reader = Reader(words, Surroundings(Path("/etc/rolecall"), None, {"HOST": host}))
    draft = reader.draft()
    for mistake in [*reader.mistakes, *disagreements(draft), *secrets_in(words)]:
        assert str(mistake).isprintable()


@given(content=strategies.binary(max_size=200) | strategies.text(max_size=200).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_whatever_bytes_stand_in_the_file_they_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rolecall.toml"
        path.write_bytes(content)
        with pytest.raises(ConfigurationError):  # nothing that short is a whole configuration
            load(path, environ={}, host="web-1")


@given(data=strategies.data())
@settings(max_examples=150, deadline=None)
def test_a_good_file_with_anything_put_into_it_is_read_or_refused(data: strategies.DataObject) -> None:
    place = data.draw(strategies.integers(0, len(GOOD)))
    text = (
        GOOD[:place]
        + data.draw(strategies.text(max_size=20))
        + GOOD[data.draw(strategies.integers(place, len(GOOD))) :]
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rolecall.toml"
        path.write_text(text, encoding="utf-8", newline="")
        with contextlib.suppress(ConfigurationError):
            assert isinstance(load(path, environ={}, host="web-1"), Settings)
