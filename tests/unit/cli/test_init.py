import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from agent.cli import main
from agent.infrastructure import Account, Role, Trust
from agent.infrastructure.cloudformation import cloudformation
from agent.infrastructure.hosting import Bucket, Site
from agent.infrastructure.hosting_terraform import hosting_terraform
from agent.infrastructure.terraform import terraform
from agent.infrastructure.written import marked
from agent.keys import Kind
from agent.keys.pem import PemKey
from agent.settings import S3, Directory, Https, Pem, SelfSigned, load

ARN = "arn:aws:iam::123456789012:role/backup"
FLAGS = ["--issuer", "https://oidc.example.com", "--region", "eu-central-1", "--role", f"backup={ARN}"]
QUICK = ["--key-kind", "ec-p256"]
WRITTEN = [
    "cloudformation/123456789012.yaml",
    "nginx/oidc.example.com.conf",
    "rolecall.toml",
    "site/.well-known/jwks.json",
    "site/.well-known/openid-configuration",
    "terraform/123456789012/main.tf",
    "tokens/backup",
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "rolecall"


def init(place: Path, *words: str) -> int:
    return main(["init", "--directory", str(place), *QUICK, *words])


def files_in(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- what is written


def test_everything_is_written_and_fits_together(place: Path) -> None:
    assert init(place, *FLAGS) == 0
    (pem,) = (place / "keys").iterdir()
    assert files_in(place) == sorted([*WRITTEN, f"keys/{pem.name}"])
    settings = load(place / "rolecall.toml", environ={}, host=socket.gethostname())
    key = PemKey.read(pem)
    assert pem.stem == key.public.kid
    assert isinstance(settings.key, Pem)
    assert settings.key.directory == pem.parent
    assert isinstance(settings.publishing, Directory)
    shown = jwt.PyJWKSet.from_json((settings.publishing.directory / ".well-known/jwks.json").read_text())
    assert [jwk.key_id for jwk in shown.keys] == [key.public.kid]
    assert [grant.token_file for grant in settings.grants] == [(place / "tokens" / "backup",)]


def test_a_role_can_be_for_a_unit_or_a_user_and_then_has_no_token(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--role", f"web={ARN}", "--role", f"mail={ARN}"]
    units = ["--grant-unit", "web=web@*.service", "--grant-user", "web=www", "--grant-user", "mail=1000"]
    assert init(place, *FLAGS, *more, *units) == 0
    grants = load(place / "rolecall.toml", environ={}, host=socket.gethostname()).grants
    assert [(grant.roles, grant.unit, grant.user, grant.token_file) for grant in grants] == [
        (("backup",), (), (), (place / "tokens/backup",)),
        (("web",), ("web@*.service",), ("www",), ()),
        (("mail",), (), ("1000",), ()),
    ]
    assert [path.name for path in (place / "tokens").iterdir()] == ["backup"]
    capsys.readouterr()
    words = ["who", "web", "-c", str(place / "rolecall.toml"), "--unit", "web@a.service", "--user", "www"]
    assert main(words) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grant-unit", "backup.service"], "'backup.service' is not NAME=UNIT"),
        (["--grant-user", "backup="], "'backup=' is not NAME=USER"),
        (["--grant-user", "web=www"], "no role 'web' is named that could be granted"),
        (["--grant-user", "backup=a", "--grant-user", "backup=b"], "'backup' is granted to two users"),
        (["--grant-unit", "backup=backup"], "unit"),
        (["--grant-user", "backup=a:b"], "user"),
    ],
)
def test_a_grant_that_cannot_be_is_refused_before_anything_is_written(
    words: list[str], said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(place, *FLAGS, *words) == 2
    assert said in capsys.readouterr().err
    assert not place.exists()


def test_the_aws_side_trusts_this_host_by_the_name_its_tokens_will_have(place: Path) -> None:
    assert init(place, *FLAGS, "--subject", "machine:${HOST}", "--audience", "aud", "--require-pinning") == 0
    settings = load(place / "rolecall.toml", environ={}, host=socket.gethostname())
    assert isinstance(settings.identity, SelfSigned)
    trust = Trust("https://oidc.example.com", "aud", f"machine:{socket.gethostname()}", require_pinning=True)
    assert settings.identity.subject == trust.subject
    here, roles = Account("aws", "123456789012"), [Role.of("backup", ARN, timedelta(hours=1))]
    assert (place / "terraform/123456789012/main.tf").read_text() == marked(terraform(trust, here, roles))
    assert (place / "cloudformation/123456789012.yaml").read_text() == marked(cloudformation(trust, here, roles))


@pytest.mark.parametrize("pinning", [[], ["--require-pinning"]])
def test_publish_finds_the_files_as_they_should_be(
    place: Path, pinning: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(place, *FLAGS, *pinning) == 0
    capsys.readouterr()
    assert main(["publish", "-c", str(place / "rolecall.toml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(Path(one["file"]).name, one["state"]) for one in told["files"]] == [
        ("main.tf", "unchanged"),
        ("123456789012.yaml", "unchanged"),
        ("oidc.example.com.conf", "unchanged"),
    ]
    assert [one["state"] for one in told["documents"]] == ["unchanged", "unchanged"]
    assert ("require_pinning = true" in (place / "rolecall.toml").read_text()) is bool(pinning)


def test_each_account_has_its_own_files(place: Path) -> None:
    more = ["--role", "web=arn:aws:iam::210987654321:role/web", "--role", f"again={ARN}"]
    assert init(place, *FLAGS, *more) == 0
    assert [path.name for path in sorted((place / "terraform").iterdir())] == ["123456789012", "210987654321"]
    assert [path.name for path in sorted((place / "tokens").iterdir())] == ["again", "backup", "web"]


def test_secrets_are_for_their_owner_and_the_site_for_everybody(place: Path) -> None:
    before = os.umask(0o022)
    try:
        assert init(place, *FLAGS) == 0
    finally:
        os.umask(before)
    (pem,) = (place / "keys").iterdir()
    assert (mode(pem), mode(pem.parent)) == (0o600, 0o700)
    assert (mode(place / "tokens/backup"), mode(place / "tokens")) == (0o600, 0o711)
    assert mode(place / "site/.well-known/jwks.json") == 0o644


def test_a_token_is_256_bits_on_one_line_and_never_the_same(place: Path, tmp_path: Path) -> None:
    assert init(place, *FLAGS) == 0
    assert init(tmp_path / "other", *FLAGS) == 0
    token, other = (path / "tokens/backup" for path in (place, tmp_path / "other"))
    assert re.fullmatch(rb"[A-Za-z0-9_-]{43}", token.read_bytes())
    assert token.read_bytes() != other.read_bytes()


def test_no_secret_is_shown(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert init(place, *FLAGS) == 0
    told = "".join(capfd.readouterr())
    assert (place / "tokens/backup").read_text() not in told
    assert "PRIVATE" not in told


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("rsa-2048", "RS256"), ("ec-p256", "ES256"), ("ec-p384", "ES384"), ("ec-p521", "ES512")],
)
def test_the_kind_of_key_is_chosen(place: Path, kind: Kind, algorithm: str) -> None:
    assert main(["init", "--directory", str(place), *FLAGS, "--key-kind", kind]) == 0
    (pem,) = (place / "keys").iterdir()
    assert PemKey.read(pem).public.algorithm == algorithm


def test_the_configuration_goes_where_dash_c_says(place: Path, tmp_path: Path) -> None:
    assert init(place, *FLAGS, "-c", str(tmp_path / "etc" / "mine.toml")) == 0
    assert load(tmp_path / "etc" / "mine.toml", environ={}, host="web-1").roles.keys() == {"backup"}
    assert "rolecall.toml" not in files_in(place)


def test_a_program_is_told_in_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(place, *FLAGS, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(str(Path(path).relative_to(place)) for path in told["written"]) == files_in(place)
    assert told["discovery"] == "https://oidc.example.com/.well-known/openid-configuration"
    assert told["accounts"] == ["123456789012"]
    assert (place / "keys" / f"{told['kid']}.pem").exists()


def test_a_person_is_told_what_comes_next(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(place, *FLAGS) == 0
    told = capsys.readouterr().out
    steps = [
        f"Serve {place}/site at https://oidc.example.com.",
        "curl https://oidc.example.com/.well-known/openid-configuration",
        f"terraform -chdir={place}/terraform/123456789012 init",
        f"rolecall check -c {place}/rolecall.toml",
        f"rolecall run -c {place}/rolecall.toml",
    ]
    assert sorted(steps, key=told.index) == steps


@pytest.mark.parametrize(("uid", "told"), [(0, True), (1000, False)])
def test_root_is_reminded_that_the_service_is_somebody_else(
    place: Path, uid: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, told: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert init(place, *FLAGS) == 0
    assert (f"chown -R USER: {place}/keys {place}/site {place}/tokens" in capsys.readouterr().out) is told


# --- where it is published


BUCKET = ["--publish", "s3", "--bucket", "oidc-example-com", "--bucket-credentials", "profile:hosting"]


def test_a_bucket_gets_the_files_that_make_it_and_nothing_is_published_yet(place: Path) -> None:
    issuer = ["--issuer", "https://oidc.example.com/site-a"]
    assert init(place, *FLAGS, *issuer, *BUCKET) == 0
    settings = load(place / "rolecall.toml", environ={}, host="web-1")
    assert isinstance(settings.publishing, S3)
    assert (settings.publishing.bucket, settings.publishing.prefix) == ("oidc-example-com", "site-a")
    assert (settings.publishing.region, settings.publishing.credentials) == ("eu-central-1", "profile:hosting")
    there = Bucket("oidc-example-com", "eu-central-1", "site-a")
    made = (place / "terraform/hosting/main.tf").read_text()
    assert made == marked(hosting_terraform(Site.of([issuer[1]]), there))
    assert (place / "cloudformation/hosting.yaml").exists()
    assert not (place / "site").exists()
    assert len(list((place / "keys").iterdir())) == 1


def test_our_own_listener_has_its_certificate_from_files(place: Path) -> None:
    words = ["--publish", "https", "--certificate", "chain.pem", "--certificate-key", "/etc/ssl/key.pem"]
    assert init(place, *FLAGS, *words) == 0
    settings = load(place / "rolecall.toml", environ={}, host="web-1")
    assert isinstance(settings.publishing, Https)
    assert settings.publishing.certificate == Path.cwd() / "chain.pem"
    assert settings.publishing.private_key == Path("/etc/ssl/key.pem")
    assert not (place / "site").exists()
    assert not (place / "nginx").exists()


def test_a_bucket_that_no_file_can_be_written_for_is_a_warning(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(place, *FLAGS, *BUCKET, "--bucket", "oidc.example.com") == 0
    assert "warning: the bucket 'oidc.example.com' cannot be read over TLS by its name" in capsys.readouterr().err
    assert not (place / "terraform/hosting").exists()


# --- what is refused


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--issuer", "http://oidc.example.com"], "issuer.url"),
        (["--issuer", "https://oidc.example.com:8443"], "names a port"),
        (["--region", "mars"], "sts.region"),
        (["--role", "web"], "'web' is not NAME=ARN"),
        (["--role", "=arn:aws:iam::123456789012:role/x"], "is not NAME=ARN"),
        (["--role", "web="], "is not NAME=ARN"),
        (["--role", "web=nonsense"], "roles.web.arn"),
        (["--role", "Web=arn:aws:iam::123456789012:role/x"], "roles.Web"),
        (["--role", f"backup={ARN}"], "the role 'backup' is named twice"),
        (["--role", "cn=arn:aws-cn:iam::123456789012:role/x"], "partition aws-cn"),
        (["--subject", "x"], "identity.subject"),
        (["--subject", "${USER}:name"], "identity.subject"),
        (["--subject", "host:cafe\u0301"], "which Terraform would change"),
        (["--audience", "two words"], "identity.audience"),
        (["--subject", "host:a\udcffb"], "is not text"),
        (["--publish", "s3", "--bucket-credentials", "environment"], "--publish s3 takes --bucket as well"),
        (["--bucket", "oidc"], "--bucket means nothing with --publish directory"),
        ([*BUCKET, "--bucket-credentials", "role:none-such"], "publishing.credentials"),
    ],
)
def test_a_wrong_answer_is_refused_before_anything_is_written(
    place: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(place, *FLAGS, *words) == 2
    assert complaint in capsys.readouterr().err
    assert not place.exists()


def test_a_region_that_nobody_knows_is_taken_with_a_warning(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(place, *FLAGS, "--region", "eu-centrl-1") == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: no region 'eu-centrl-1' is known here",
        "hint: did you mean eu-central-1?",
    ]
    assert load(place / "rolecall.toml", environ={}, host="web-1").sts.region == "eu-centrl-1"


@pytest.mark.parametrize("missing", ["--issuer", "--region", "--role"])
def test_where_nobody_can_be_asked_the_missing_option_is_named(
    place: Path, missing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = FLAGS.index(missing)
    with open(os.devnull) as nobody:  # noqa: PTH123 - as the shell's </dev/null
        monkeypatch.setattr(sys, "stdin", nobody)
        assert init(place, *FLAGS[:at], *FLAGS[at + 2 :]) == 2
    assert f"{missing} is missing" in capsys.readouterr().err
    assert not place.exists()


# --- a person at a terminal


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A real terminal; what is typed ahead waits there."""
    person, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)

        def typed(text: str) -> None:
            os.write(person, text.encode())

        yield typed
    os.close(person)


def test_a_person_is_asked_until_the_answers_are_sound(
    place: Path, typing: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    typing("oidc.example.com\nhttps://oidc.example.com\nmars\ncn-north-1\n")
    typing(
        f"web\nweb={ARN}\n\nweb=arn:aws-cn:iam::123456789012:role/web\nweb=x\ndb=arn:aws-cn:iam::123456789012:role/db\n\ny\n"
    )
    assert init(place) == 0
    settings = load(place / "rolecall.toml", environ={}, host="web-1")
    assert settings.sts.region == "cn-north-1"
    assert {name: role.arn for name, role in settings.token_roles.items()} == {
        "web": "arn:aws-cn:iam::123456789012:role/web",
        "db": "arn:aws-cn:iam::123456789012:role/db",
    }
    told = capsys.readouterr()
    complaints = ["does not begin with https://", "does not look like a region", "is not NAME=ARN", "partition aws"]
    assert sorted(complaints, key=told.err.index) == complaints
    assert "named twice" in told.err
    assert "tokens/web" in told.err[told.err.index("This will be written") :]
    assert "?" not in told.out


@pytest.mark.parametrize(
    "typed", ["\x04", "https://oidc.example.com\n\x04", f"https://a.b\neu-central-1\na={ARN}\n\n\x04"]
)
def test_the_end_of_input_ends_it_with_nothing_written(
    place: Path, typing: Callable[[str], None], typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    typing(typed)
    assert init(place) == 1
    assert capsys.readouterr().err.endswith("Nothing was written.\n")
    assert not place.exists()


def test_who_says_no_gets_nothing(place: Path, typing: Callable[[str], None]) -> None:
    typing("n\n")
    assert init(place, *FLAGS) == 1
    assert not place.exists()


def test_a_service_would_live_in_etc_and_write_to_var(
    typing: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    typing("n\n")
    assert main(["init", "--service", *FLAGS]) != 0
    told = capsys.readouterr().err
    assert "in /etc/rolecall:" in told
    assert "  /var/lib/rolecall/keys/KID.pem" in told
    assert "  /var/lib/rolecall/site/.well-known/jwks.json" in told


def test_yes_asks_nothing_even_at_a_terminal(place: Path, typing: Callable[[str], None]) -> None:
    typing("n\n")
    assert init(place, *FLAGS, "--yes") == 0
    assert "rolecall.toml" in files_in(place)


def test_interrupting_ends_it_with_nothing_written(place: Path) -> None:
    person, terminal = pty.openpty()
    # whoever starts tests in the background has SIGINT ignored, which is inherited: undo that first
    script = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script += "; from agent.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "init", "--directory", str(place)]
    with subprocess.Popen(
        command,
        stdin=terminal,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as asking:
        os.close(terminal)
        assert asking.stderr is not None
        asked = asking.stderr.read(10)
        asking.send_signal(signal.SIGINT)
        _, told = asking.communicate(timeout=20)
    os.close(person)
    assert asked == b"The issuer"
    assert asking.returncode == 130
    assert told.endswith(b"Nothing was written.\n")
    assert not place.exists()
