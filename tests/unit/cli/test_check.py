import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.cli import main
from agent.errors import ConfigurationError
from agent.keys.pem import PemKey
from agent.sandbox.tls import new_authority
from agent.secret import Secret
from tests.fakes.key_files import ENCRYPTED, PASSPHRASE, REFUSALS, traditional
from tests.fakes.memory_key import pem

GOOD = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
file = "{directory}/key.pem"
[sts]
region = "eu-central-1"
ca_bundle = "ca.pem"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
token_file = "{directory}/token"
[publishing]
to = "directory"
directory = "site"
"""
AUTHORITY = new_authority("an authority of the tests").pem
Check = Callable[..., tuple[int, str, str]]


KID = PemKey.parse(Secret(pem("ec-p256").decode()), origin="a test").public.kid


def furnished(place: Path) -> Path:
    """Make everything in a directory that GOOD names, as it should be."""
    there = {
        "key.pem": (0o600, pem("ec-p256")),
        "token": (0o640, b"a-token-of-the-tests-01"),
        "ca.pem": (0o644, AUTHORITY),
    }
    for name, (mode, content) in there.items():
        (place / name).write_bytes(content)
        (place / name).chmod(mode)
    (place / "site").mkdir()
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return furnished(tmp_path)


@pytest.fixture
def check(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    for name in [name for name in os.environ if name.startswith("ROLECALL_") or name == "CREDENTIALS_DIRECTORY"]:
        monkeypatch.delenv(name)

    def check(text: str = GOOD, *flags: str) -> tuple[int, str, str]:
        path = place / "rolecall.toml"
        path.write_text(text.replace("{directory}", str(place)), encoding="utf-8")
        path.chmod(0o644)
        code = main(["check", "-c", str(path), *flags])
        out, err = capsys.readouterr()
        return code, out, err

    return check


def test_a_good_configuration_is_called_good_and_told_in_short(check: Check, place: Path) -> None:
    text = GOOD.replace("[sts]", '[identity]\nsubject = "host:web-1"\n[sts]')
    code, out, err = check(text.replace('role/backup"', 'role/backup"\nsession_name = "nightly"'))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"configuration is good: {place}/rolecall.toml",
        "  identity     host:web-1 of https://oidc.example.com, for sts.amazonaws.com",
        f"  key          {KID}, ES256",
        f"  custodian    pem, in {place}/key.pem",
        "  rotation     none: one key signs for good",
        "  STS          of eu-central-1",
        "  role         backup: arn:aws:iam::123456789012:role/backup for 1h, as nightly",
        f'  grant        backup: who shows a token of "{place}/token"',
        f"  publishing   to {place}/site",
        "  credentials  http://127.0.0.1:9170",
        "  admin        http://127.0.0.1:9171",
    ]


def test_every_mistake_is_printed_and_the_code_is_2(check: Check, place: Path) -> None:
    code, out, err = check(GOOD.replace("https://", "http://").replace("eu-central-1", "here"))
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        (
            'error: issuer.url: "http://oidc.example.com" does not begin with https://, which AWS requires; '
            'write it as in "https://oidc.example.com"'
        ),
        'sts.region: "here" does not look like a region; write it as in "eu-central-1"',
        f"hint: correct {place}/rolecall.toml; every setting is in docs/configuration.md",
    ]


def test_programs_are_told_as_json(check: Check, place: Path) -> None:
    code, out, _ = check(GOOD, "--json")
    assert code == 0
    assert json.loads(out) == {"good": True, "file": f"{place}/rolecall.toml", "mistakes": [], "warnings": []}
    code, out, err = check(GOOD.replace("eu-central-1", "here"), "--json")
    assert (code, err) == (2, "")
    told = json.loads(out)
    assert told["good"] is False
    assert told["mistakes"] == ['sts.region: "here" does not look like a region; write it as in "eu-central-1"']


def test_files_that_the_daemon_starts_without_are_doubts_if_they_are_not_there(check: Check, place: Path) -> None:
    (place / "token").unlink()
    (place / "site").rmdir()
    code, _, err = check()
    assert code == 0
    assert err.splitlines() == [
        f'warning: grants#1.token_file: "{place}/token" does not exist',
        f'warning: publishing.directory: "{place}/site" does not exist; make it, and let the agent\'s user write to it',
    ]


def test_files_that_others_can_read_or_change_are_doubts(check: Check, place: Path) -> None:
    (place / "token").chmod(0o644)
    (place / "ca.pem").chmod(0o666)
    code, _, err = check()
    assert code == 0
    assert err.splitlines() == [
        f'warning: grants#1.token_file: "{place}/token" is open to others (mode 0644); close it with: chmod 0640',
        f'warning: sts.ca_bundle: "{place}/ca.pem" is open to others (mode 0666); close it with: chmod 0664',
    ]


def test_files_that_are_directories_and_the_other_way_round_are_doubts(check: Check, place: Path) -> None:
    (place / "token").unlink()
    (place / "token").mkdir()
    (place / "site").rmdir()
    (place / "site").touch()
    _, _, err = check()
    assert err.splitlines() == [
        f'warning: grants#1.token_file: "{place}/token" is not a file',
        f'warning: publishing.directory: "{place}/site" is not a directory',
    ]


def in_directory(place: Path) -> str:
    """GOOD, but its key is in a directory, alone."""
    (place / "keys").mkdir(mode=0o700)
    (place / "key.pem").rename(place / "keys" / "key.pem")
    return GOOD.replace('file = "{directory}/key.pem"', 'directory = "keys"')


def test_a_key_in_a_directory_is_tried(check: Check, place: Path) -> None:
    code, out, err = check(in_directory(place))
    assert (code, err) == (0, "")
    assert f"  key          {KID}, ES256\n" in out


def test_a_directory_without_a_key_is_no_place_for_one(check: Check, place: Path) -> None:
    text = in_directory(place)
    (place / "keys" / "key.pem").unlink()
    code, out, err = check(text)
    assert (code, out) == (1, "")  # as for a file that is missing: it may be mounted later
    assert err == "error: key: [key] names no key that is there\nhint: make one: rolecall keys new\n"


def test_a_key_in_a_directory_that_others_can_read_is_refused(check: Check, place: Path) -> None:
    text = in_directory(place)
    (place / "keys" / "key.pem").chmod(0o644)
    code, out, err = check(text)
    assert (code, out) == (1, "")
    assert err.startswith(
        f"error: key: the private key file {place}/keys/key.pem is open to others than its owner (mode 0644)\n"
    )


def test_a_key_that_is_not_there_is_refused(check: Check, place: Path) -> None:
    (place / "key.pem").unlink()
    code, _, err = check()
    assert code == 1
    assert err.startswith(f"error: key: the private key file {place}/key.pem does not exist\n")


@pytest.mark.parametrize("kind", ["secp256k1", "RSA 1024", "wrong passphrase", "no passphrase", "passphrase too many"])
def test_a_key_that_run_refuses_is_refused_with_the_same_code(check: Check, place: Path, kind: str) -> None:
    refusal = REFUSALS[kind]
    (place / "key.pem").write_bytes(refusal.content())
    text = GOOD
    if refusal.passphrase:
        (place / "passphrase").write_text(refusal.passphrase.reveal())
        (place / "passphrase").chmod(0o600)
        text = GOOD.replace('key.pem"', 'key.pem"\npassphrase_file = "{directory}/passphrase"')
    code, out, err = check(text)
    assert out == ""
    assert err.startswith(f"error: key: {refusal.sentence}\n".replace("FILE", str(place / "key.pem")))
    assert code == (2 if refusal.error is ConfigurationError else 1)


def test_a_key_with_the_right_passphrase_is_good(check: Check, place: Path) -> None:
    (place / "key.pem").write_bytes(traditional("ec-p256", ENCRYPTED))
    (place / "passphrase").write_text(PASSPHRASE.reveal())
    (place / "passphrase").chmod(0o600)
    code, _, err = check(GOOD.replace('key.pem"', 'key.pem"\npassphrase_file = "{directory}/passphrase"'))
    assert (code, err) == (0, "")


def test_a_ca_bundle_that_run_refuses_is_refused_and_told_once(check: Check, place: Path) -> None:
    (place / "ca.pem").unlink()
    code, _, err = check()
    assert code == 2
    assert err.splitlines()[0].startswith(f"error: sts: the CA bundle {place}/ca.pem cannot be used: ")
    assert len(err.splitlines()) == 2


def test_all_that_run_would_refuse_is_told_at_once_after_the_doubts(check: Check, place: Path) -> None:
    (place / "token").unlink()
    (place / "key.pem").unlink()
    tags = ", ".join(f'"{n}{"é" * 120}" = "{"é" * 250}"' for n in range(50))
    text = GOOD.replace('role/backup"', f'role/backup"\ntags = {{ {tags} }}')
    code, _, err = check(text)
    assert code == 2
    told = err.splitlines()
    assert told[0].startswith("warning: grants#1.token_file: ")
    assert told[1].startswith("error: key: ")
    assert re.fullmatch(r"roles.backup: tokens would be \d+ characters long, and STS takes 20000", told[2])
    assert told[3].startswith("hint: correct the path, or make a key: rolecall keys new; drop some roles, ")
    code, out, err = check(text, "--json")
    assert (code, err) == (2, "")
    assert json.loads(out)["mistakes"] == [told[1].removeprefix("error: "), told[2]]
    assert json.loads(out)["warnings"] == [told[0].removeprefix("warning: ")]


AS_NOBODY = """
import contextlib, io, os, sys
from agent.cli import main
from agent.errors import ConfigurationError
from agent.keys.pem import PemKey
from agent.sandbox.tls import new_authority
from agent.secret import Secret
from tests.fakes.key_files import ENCRYPTED, PASSPHRASE, REFUSALS, traditional
from tests.fakes.memory_key import pem
words = ["check", "-c", sys.argv[1]]
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(words)  # so that all is imported: nobody might not be allowed to read Python's files
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(main(words))
"""


def test_files_that_this_user_cannot_read_are_doubts() -> None:
    """As nobody; without root to give up, it is our own file that we may not read."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        config = furnished(home) / "rolecall.toml"
        config.write_text(GOOD.replace("{directory}", str(home)), encoding="utf-8")
        (home / "key.pem").chmod(0o200)
        (home / "site").chmod(0o555)
        words = [sys.executable, "-c", AS_NOBODY, str(config)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = f"warning: key: the private key file {home}/key.pem cannot be read: Permission denied; so it was not tried: "
    assert f"{told}run this as the agent's user" in done.stderr.splitlines()
    unwritable = f'warning: publishing.directory: "{home}/site" cannot be written to by this user'
    assert f"{unwritable}; the agent's user must be able to" in done.stderr.splitlines()
    assert "  key          not tried\n" in done.stdout


def test_outside_the_unit_its_credentials_are_taken_on_trust(check: Check) -> None:
    code, out, err = check(GOOD.replace("{directory}/key.pem", "credential:key"))
    told = "warning: key: systemd hands it to the unit alone, so it was not tried: see journalctl -u rolecall\n"
    assert (code, err) == (0, told)
    assert "  key          not tried\n" in out


def test_outside_the_unit_a_token_whose_pin_it_has_is_taken_on_trust(check: Check) -> None:
    words = (
        'custodian = "pkcs11"\nmodule = "ca.pem"\nlabel = "rolecall"\npin_file = "credential:pin"\nmake_keys = false'
    )
    code, out, err = check(GOOD.replace('custodian = "pem"\nfile = "{directory}/key.pem"', words))
    told = (
        "warning: key: systemd hands key.pin_file to the unit alone, so it was not tried: see journalctl -u rolecall\n"
    )
    assert (code, err) == (0, told)
    assert "  key          not tried\n  custodian    pkcs11, the label " in out


NEXT = """
[key.next]
custodian = "vault_transit"
address = "https://vault.example.com:8200"
key = "rolecall"
role_id_file = "{directory}/role-id"
secret_id_file = "{directory}/secret-id"
ca_bundle = "ca.pem"
[rotation]
state = "{directory}/state"
"""


def test_the_files_of_a_place_to_move_to_are_looked_at(check: Check, place: Path) -> None:
    (place / "role-id").touch(mode=0o640)
    (place / "role-id").chmod(0o640)
    code, out, err = check(GOOD + NEXT)
    assert code == 0
    assert [line for line in err.splitlines() if not line.startswith("warning: key.next: the keys are moving")] == [
        f'warning: key.next.role_id_file: "{place}/role-id" is open to others (mode 0640); close it with: chmod 0600',
        f'warning: key.next.secret_id_file: "{place}/secret-id" does not exist',
        f'warning: rotation.state: "{place}/state" does not exist; make it, and let the agent\'s user write to it',
    ]
    assert "  moving to    vault_transit, transit/keys/rolecall of https://vault.example.com:8200\n" in out


def test_what_is_wrong_with_this_key_hides_nothing_about_the_next(check: Check, place: Path) -> None:
    (place / "key.pem").unlink()
    code, _, err = check(GOOD + NEXT)
    assert code == 1
    assert f'warning: key.next.secret_id_file: "{place}/secret-id" does not exist' in err.splitlines()
    assert "key.file" not in err


def test_the_key_of_our_own_site_is_to_be_closed_and_its_certificate_there(check: Check, place: Path) -> None:
    (place / "tls.key").touch()
    (place / "tls.key").chmod(0o640)
    words = 'to = "https"\ncertificate = "chain.pem"\nprivate_key = "{directory}/tls.key"\ncertificates = "x5c"'
    _, out, err = check(GOOD.replace('to = "directory"\ndirectory = "site"', words))
    assert [line for line in err.splitlines() if str(place) in line] == [
        f'warning: publishing.certificate: "{place}/chain.pem" does not exist',
        f'warning: publishing.private_key: "{place}/tls.key" is open to others (mode 0640); close it with: chmod 0600',
        f'warning: publishing.certificates: "{place}/x5c" does not exist',
    ]
    assert "  publishing   by ourselves, on https://0.0.0.0:443, with the certificates in " in out


def test_inside_the_unit_its_credentials_are_tried(check: Check, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    (place / "key.pem").chmod(0o440)  # as systemd gives it to the unit's user
    assert check(GOOD.replace("{directory}/key.pem", "credential:key.pem"))[2] == ""
    code, _, err = check(GOOD.replace("{directory}/key.pem", "credential:key"))
    assert code == 1
    assert err.startswith(f"error: key: the private key file {place}/key does not exist\n")


def test_other_kinds_of_configuration_are_told_in_short_as_well(check: Check, place: Path) -> None:
    text = GOOD.replace('token_file = "{directory}/token"', "anyone = true").replace(
        "[sts]",
        '[identity]\nsource = "file"\nfile = "{directory}/token"\n[sts]\nendpoint_url = "https://sts.example.com"',
    )
    code, out, err = check(text)
    assert code == 0
    assert f"  identity     a token from a file\n  key          {KID}, ES256\n  custodian    pem, in " in out
    assert "  rotation" not in out
    assert "  STS          https://sts.example.com\n" in out
    assert "grant        backup: anyone\n" in out
    assert err == "warning: grants#1.anyone: every process that can connect to 127.0.0.1:9170 gets backup\n"


@pytest.mark.parametrize(
    ("content", "said"), [("", "holds no token"), ("short", "holds something that is not a token")]
)
def test_a_token_file_by_which_nobody_gets_anything_is_wrong(
    check: Check, place: Path, content: str, said: str
) -> None:
    (place / "token").write_text(content)
    code, out, err = check()
    assert (code, out) == (2, "")
    assert err.startswith(f"error: grants#1.token_file: {place}/token {said}\nhint: ")


def test_a_directory_that_everybody_can_write_to_is_no_place_for_a_file_of_ours(check: Check, place: Path) -> None:
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    file = f'[[files]]\nkind = "credentials"\npath = "{shared}/credentials"\nrole = "backup"\nprofile = "p"\n'
    code, out, err = check(GOOD + file)
    assert code == 0
    assert err.splitlines() == [
        (
            f'warning: files#1.path: "{shared}" can be written to by everybody (mode 1777): whoever wants can put '
            "something else there; name another"
        )
    ]
    assert f"  file         {shared}/credentials: credentials of backup, in the profile p\n" in out
    shared.chmod(0o700)
    (shared / "credentials").touch()
    (shared / "credentials").chmod(0o604)
    assert "is open to others (mode 0604); close it with: chmod 0600" in check(GOOD + file)[2]


def test_what_this_machine_does_not_have_is_a_warning(check: Check) -> None:
    words = GOOD.replace('token_file = "{directory}/token"', 'user = "no-such-user"')
    code, _, err = check(words)
    assert code == 0
    said = 'there is no user "no-such-user" on this machine; the grant counts once there is'
    assert f"warning: grants#1.user: {said}\n" in err


def test_grants_that_can_never_be_are_an_error_before_anything_is_tried(check: Check, place: Path) -> None:
    (place / "key.pem").unlink()
    code, out, err = check(GOOD.replace('token_file = "{directory}/token"', 'container = "web"'))
    assert (code, out) == (2, "")
    assert err.startswith('error: grants#1.container: needs [containers] with engine = "docker" or "podman", to know')


def test_a_rule_for_our_own_tokens_that_our_key_cannot_fit_is_doubted_and_one_that_nothing_can_is_refused(
    check: Check,
) -> None:
    rule = '[verify.own]\nissuer = "own"\naudiences = ["https://internal.example.com"]\n'
    assert check(GOOD + rule)[2] == check(GOOD)[2]
    code, _, err = check(f'{GOOD}{rule}algorithms = ["RS256"]\n')
    assert code == 0
    assert "verify.own.algorithms: no token of ours fits, as our key signs with ES256; add it" in err
    code, _, err = check(f'{GOOD}{rule}algorithms = ["HS256"]\n')
    assert code == 2
    assert 'verify.own.algorithms#1: "HS256" is signed with a secret that whoever verifies has to share' in err


def test_tokens_that_will_be_refused_wherever_they_are_shown_are_a_warning(check: Check) -> None:
    """The key of these tests is on a curve."""
    granted = '[[grants]]\naudiences = ["api://AzureADTokenExchange"]\ntoken_file = "{directory}/token"\n'
    code, _, err = check(GOOD + granted)
    assert code == 0
    said = (
        '"api://AzureADTokenExchange" is Microsoft Entra ID, which takes RS256 alone; what ES256 has signed is refused'
    )
    assert f"warning: grants#2.audiences: {said} there\n" in err
