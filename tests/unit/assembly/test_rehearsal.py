from pathlib import Path

from agent.assembly.keys import make_key
from agent.assembly.rehearsal import rehearse
from agent.assembly.rotation import rotation
from agent.errors import ConfigurationError, KeyUnavailable
from agent.settings import Settings, load
from tests.fakes.clock import FakeClock
from tests.fakes.issuing import issuing
from tests.fakes.memory_key import pem
from tests.fakes.report import Reported


def settings(home: Path, *, sts: str = "", identity: str = "", role: str = "") -> Settings:
    key = home / "key.pem"
    key.touch(mode=0o600)
    key.write_bytes(pem("ec-p256"))
    path = home / "rolecall.toml"
    path.write_text(f"""
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
file = "{key}"
[identity]
subject = "host:web-1"
{identity}
[sts]
region = "eu-central-1"
{sts}
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
{role}
""")
    return load(path, environ={}, host="web-1")


async def test_where_the_daemon_would_start_the_key_is_told_and_nothing_is_said(tmp_path: Path) -> None:
    rehearsal = await rehearse(settings(tmp_path), None)
    assert rehearsal.key is not None
    assert rehearsal.key.algorithm == "ES256"
    assert rehearsal.refusals == ()


async def test_a_key_that_is_not_to_be_tried_is_not_missed(tmp_path: Path) -> None:
    known = settings(tmp_path)
    (tmp_path / "key.pem").unlink()
    rehearsal = await rehearse(known, None, try_key=False)
    assert (rehearsal.key, rehearsal.refusals) == (None, ())


async def test_every_reason_not_to_start_is_given_with_its_setting(tmp_path: Path) -> None:
    tags = ", ".join(f'"{n}{"é" * 120}" = "{"é" * 250}"' for n in range(50))
    known = settings(tmp_path, sts='ca_bundle = "none.pem"', role=f"tags = {{ {tags} }}")
    (tmp_path / "key.pem").chmod(0o644)
    refusals = (await rehearse(known, None)).refusals
    assert [(refusal.path, type(refusal.error)) for refusal in refusals] == [
        ("key", KeyUnavailable),
        ("sts", ConfigurationError),
        ("roles.backup", ConfigurationError),
    ]


async def test_what_holds_the_key_is_asked_and_what_keeps_it_away_is_told(tmp_path: Path) -> None:
    known = settings(tmp_path)
    config = known.path.read_text().replace(
        f'custodian = "pem"\nfile = "{tmp_path}/key.pem"',
        f'custodian = "pkcs11"\nmodule = "{tmp_path}/none.so"\nlabel = "rolecall"\npin_file = "{tmp_path}/key.pem"',
    )
    known.path.write_text(config)
    rehearsal = await rehearse(load(known.path, environ={}, host="web-1"), None)
    [refusal] = rehearsal.refusals
    assert (rehearsal.key, refusal.path, type(refusal.error)) == (None, "key", ConfigurationError)
    assert "none.so" in refusal.error.what


async def test_of_several_keys_the_one_that_the_ring_names_is_tried(tmp_path: Path) -> None:
    with issuing(tmp_path) as host:
        known = load(host.config, environ={}, host="web-1")
        assert (await rehearse(known, None)).refusals == ()
        _, second = make_key(tmp_path / "keys", "ec-p256")
        [refusal] = (await rehearse(known, None)).refusals
        assert "nothing says which of them signs" in refusal.error.what
        (tmp_path / "keys" / f"{second.kid}.pem").unlink()
        walk = rotation(known, None, publisher=None, clock=FakeClock(), report=Reported())
        await walk.start()
        await walk.order("rotate")
        await walk.turn()
        assert len(host.pems()) == 2
        rehearsal = await rehearse(known, None)
        assert rehearsal.refusals == ()
        assert rehearsal.key == walk.signer().public


async def test_an_identity_center_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    center = 'start_url = "https://example.awsapps.com/start"\nregion = "eu-central-1"\nca_bundle = "none.pem"'
    known = settings(tmp_path, role=f"[identity_center]\n{center}")
    assert [refusal.path for refusal in (await rehearse(known, None)).refusals] == ["identity_center"]
