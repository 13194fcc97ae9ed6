import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.assembly.keys import make_key
from agent.assembly.publishing import directory_publisher
from agent.assembly.rotation import (
    boot,
    chores,
    public_site,
    publish_ring,
    ring_file,
    rotation,
    rules,
    signing_key,
    started,
)
from agent.clock import SystemClock
from agent.errors import ConfigurationError, KeyUnavailable
from agent.publishing.discovery import JWKS_PATH
from agent.ring import Held, Ring, Rules
from agent.ring_file import Moment, RingFile, Saved
from agent.rotation import Rotation
from agent.settings import Settings, load
from tests.fakes.clock import FakeClock, settle
from tests.fakes.issuing import Issuing, issuing
from tests.fakes.ports import own_port
from tests.fakes.report import Reported

ISSUER = "https://oidc.example.com"
PEM = 'custodian = "pem"\ndirectory = "keys"'
SITE = '[publishing]\nto = "directory"\ndirectory = "site"'

Configured = Callable[..., Settings]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    (tmp_path / "keys").mkdir(mode=0o700)

    def configured(key: str = PEM, more: str = SITE) -> Settings:
        path = tmp_path / "rolecall.toml"
        path.write_text(f"""
[issuer]
url = "{ISSUER}"
[key]
{key}
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
anyone = true
{more}
""")
        return load(path, environ={}, host="web-1")

    return configured


def walk_of(settings: Settings) -> Rotation:
    return rotation(settings, None, publisher=None, clock=FakeClock(), report=Reported())


# --- what is configured


def test_keys_that_we_make_and_publish_ourselves_follow_one_another_if_nothing_is_said(configured: Configured) -> None:
    settings = configured()
    assert rules(settings) == Rules()
    file = ring_file(settings)
    assert file is not None
    assert file.path == settings.path.parent / "keys" / "ring.json"


def test_what_is_said_is_done(configured: Configured, tmp_path: Path) -> None:
    words = '[rotation]\nevery = "30d"\nannounce = "3h"\nkeep = "4h"\nkind = "rsa-3072"\nstate = "state"'
    settings = configured(more=f"{SITE}\n{words}")
    hour = timedelta(hours=1)
    assert rules(settings) == Rules(timedelta(days=30), 3 * hour, 4 * hour, "rsa-3072")
    file = ring_file(settings)
    assert file is not None
    assert file.path == tmp_path / "state" / "ring.json"


def test_a_rotation_may_be_by_hand_alone(configured: Configured) -> None:
    assert rules(configured(more=f"{SITE}\n[rotation]\nautomatic = false")).every is None


def test_a_key_that_nobody_publishes_here_signs_for_good(configured: Configured) -> None:
    settings = configured(more="")
    assert rules(settings).every is None
    assert ring_file(settings) is None


def test_a_rotation_that_nobody_asked_for_asks_for_no_place_to_write_to(configured: Configured, tmp_path: Path) -> None:
    """Root may write anywhere; where nobody may, there is no directory."""
    (tmp_path / "keys").rmdir()
    assert ring_file(configured()) is None
    asked_for = ring_file(configured(more=f'{SITE}\n[rotation]\nevery = "30d"'))
    assert asked_for is not None


# --- keys


async def test_the_key_that_signs_is_the_one_that_the_ring_names(configured: Configured, tmp_path: Path) -> None:
    settings = configured()
    _, first = make_key(tmp_path / "keys", "ec-p256")
    async with signing_key(settings, None, SystemClock()) as key:
        assert key.public == first
    place = directory_publisher(tmp_path / "site", ISSUER, timedelta(minutes=5))
    ring = await publish_ring(settings, None, place)
    assert [key.kid for key in ring.shown] == [first.kid]
    assert [key["kid"] for key in json.loads((tmp_path / "site" / JWKS_PATH).read_text())["keys"]] == [first.kid]
    walk = walk_of(settings)
    await walk.start()
    await walk.order("rotate")
    await walk.turn()
    assert len(list((tmp_path / "keys").glob("*.pem"))) == 2  # of which a configuration could not tell which signs
    async with signing_key(settings, None, SystemClock()) as key:
        assert key.public == first
    assert len((await publish_ring(settings, None, place)).shown) == 2


async def test_a_key_in_a_file_has_to_be_there_at_the_start(configured: Configured) -> None:
    settings = configured()
    with pytest.raises(KeyUnavailable, match="names no key that is there"):
        await started(walk_of(settings), settings, SystemClock())


async def test_a_service_that_has_the_key_may_come_later(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text("a-token")
    key = f'custodian = "vault_transit"\naddress = "http://127.0.0.1:{own_port()}"\nkey = "rolecall"\n'
    settings = configured(f'{key}token_file = "{tmp_path}/token"', f'{SITE}\n[rotation]\nstate = "{tmp_path}"')
    walk = rotation(settings, None, publisher=None, clock=SystemClock(), report=Reported())
    await started(walk, settings, SystemClock())
    with pytest.raises(KeyUnavailable) as caught:
        walk.signer()
    assert caught.value.hint
    assert len(chores(walk)) == 2  # the walk, and to stay signed in
    await walk.close()


async def test_a_service_that_hangs_does_not_keep_the_listeners_closed(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text("a-token")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        key = f'custodian = "vault_transit"\naddress = "http://127.0.0.1:{silent.getsockname()[1]}"\nkey = "rolecall"\n'
        settings = configured(f'{key}token_file = "{tmp_path}/token"', f'{SITE}\n[rotation]\nstate = "{tmp_path}"')
        clock = FakeClock()
        walk = rotation(settings, None, publisher=None, clock=clock, report=Reported())
        starting = asyncio.ensure_future(started(walk, settings, clock))
        await settle()
        await clock.advance(timedelta(seconds=4))
        assert not starting.done()
        await clock.advance(timedelta(seconds=2))
        await starting
        with pytest.raises(KeyUnavailable):
            walk.signer()
        await walk.close()


async def test_a_device_to_which_the_keys_have_moved_may_come_later_though_key_is_a_file(
    configured: Configured, tmp_path: Path
) -> None:
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text("a-token")
    _, first = make_key(tmp_path / "keys", "ec-p256")
    there = Held("vault_transit", "rolecall:v1", ours=True)
    now = SystemClock().now()
    RingFile(tmp_path).write(Saved(Ring.founded(first, there, now), Moment(now, boot(), 1.0), None))
    following = f'[key.next]\ncustodian = "vault_transit"\naddress = "http://127.0.0.1:{own_port()}"\n'
    key = f'{PEM}\n{following}key = "rolecall"\ntoken_file = "{tmp_path}/token"'
    settings = configured(key, f'{SITE}\n[rotation]\nstate = "{tmp_path}"')
    walk = rotation(settings, None, publisher=None, clock=SystemClock(), report=Reported())
    await started(walk, settings, SystemClock())
    with pytest.raises(KeyUnavailable):
        walk.signer()
    await walk.close()


async def test_a_custodian_that_is_configured_wrongly_is_a_mistake_at_once(
    configured: Configured, tmp_path: Path
) -> None:
    (tmp_path / "pin").touch(mode=0o600)
    (tmp_path / "pin").write_text("1234")
    key = f'custodian = "pkcs11"\nmodule = "{tmp_path}/none.so"\nlabel = "rolecall"\npin_file = "{tmp_path}/pin"'
    settings = configured(key, f'{SITE}\n[rotation]\nstate = "{tmp_path}"')
    walk = rotation(settings, None, publisher=None, clock=SystemClock(), report=Reported())
    with pytest.raises(ConfigurationError, match=r"none\.so"):
        await started(walk, settings, SystemClock())
    await walk.close()


def test_one_run_of_this_machine_is_told_from_another() -> None:
    assert boot() == boot()
    assert len(boot()) > 8


# --- libraries that are not installed

_WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ImportError(f"No module named {{name}}", name=name)
sys.meta_path.insert(0, Missing())
from agent.cli import main
sys.exit(main(sys.argv[1:]))
"""

_ELSEWHERE = {
    "pkcs11": ("pkcs11", 'module = "/usr/lib/softhsm/libsofthsm2.so"\nlabel = "rolecall"\npin_file = "/pin"'),
    "tpm2": ("tpm2_pytss", 'directory = "keys"'),
}


@pytest.mark.parametrize("custodian", list(_ELSEWHERE))
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    configured: Configured, custodian: str, tmp_path: Path
) -> None:
    library, words = _ELSEWHERE[custodian]
    settings = configured(f'custodian = "{custodian}"\n{words}', f'{SITE}\n[rotation]\nstate = "{tmp_path}"')
    program = _WITHOUT.format(missing={library})
    for verb in (["run"], ["keys", "list"]):
        command = [sys.executable, "-c", program, *verb, "-c", str(settings.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=_environment())
        assert done.returncode == 2, done.stderr
        assert f'error: the library that key.custodian = "{custodian}" needs is not installed' in done.stderr
        assert f"from the unpacked source: pip install '.[{custodian}]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_keys_in_files_need_no_library_of_others(configured: Configured, tmp_path: Path) -> None:
    settings = configured()
    make_key(tmp_path / "keys", "ec-p256")
    missing = {"pkcs11", "tpm2_pytss", "aiobotocore", "botocore"}
    command = [sys.executable, "-c", _WITHOUT.format(missing=missing), "keys", "list", "-c", str(settings.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=_environment())
    assert (done.returncode, done.stderr) == (0, "")
    assert "signing" in done.stdout


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}


# --- the world


def test_the_issuer_is_read_through_the_proxy_and_by_the_ca_that_are_configured(tmp_path: Path) -> None:
    with issuing(tmp_path) as host:
        seen = asyncio.run(_looked_at(host))
    assert seen == host.pems()


async def _looked_at(host: Issuing) -> list[str]:
    settings = load(host.config, environ={}, host="web-1")
    await publish_ring(settings, None, directory_publisher(host.home / "site", ISSUER, timedelta(minutes=5)))
    return sorted((await public_site(settings, SystemClock()).look()).keys)
