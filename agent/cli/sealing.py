"""How is a key sealed to this machine before it ever lies on a disk? By systemd-creds, through a pipe."""

import argparse
import os
import re
import shutil
import subprocess
from typing import Final, Literal, get_args

from agent.assembly.keys import fresh_pem
from agent.cli.next_steps import SERVICE_DIRECTORY
from agent.cli.terminal import say, show_json
from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys.files import write_new
from agent.secret import Secret

#: What a key can be sealed with, in the words of systemd-creds: a key on this machine's disk, its TPM, or both; "auto"
#: is both where there is a TPM, and else the first.
SealedWith = Literal["auto", "host", "tpm2", "host+tpm2"]

#: A name of a credential that settings take, and that no unit file reads otherwise.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")
#: How long systemd-creds may take, in seconds: a TPM that somebody else is using lets it wait.
_PATIENCE: Final = 60.0


def add_seal(parser: argparse.ArgumentParser) -> None:
    """Add --seal and --name."""
    parser.add_argument(
        "--seal",
        choices=get_args(SealedWith),
        help="seal the new key to this machine, so that a copy of the disk is worth nothing: a credential of systemd",
    )
    parser.add_argument("--name", metavar="NAME", help="what to call that credential (default: signing-key)")


def make_sealed_key(arguments: argparse.Namespace) -> int:
    """Make a key, seal it, and say what leads systemd and the agent to it. Raises as `seal` does."""
    name = arguments.name or "signing-key"
    path = (arguments.directory or SERVICE_DIRECTORY).absolute() / f"{name}.cred"
    if os.path.lexists(path):  # before a TPM is asked
        raise ConfigurationError(
            f"{path} exists already, and a key is never overwritten",
            hint="call the new one otherwise: --name signing-key-2",
        )
    pem, public = fresh_pem(arguments.kind)
    write_new(path, seal(pem, name, arguments.seal))
    unit = f"LoadCredentialEncrypted={name}:{str(path).replace('%', '%%')}"
    if arguments.json:
        facts = {"kid": public.kid, "algorithm": public.algorithm, "file": str(path)}
        show_json({**facts, "unit": unit, "key": {"custodian": "pem", "file": f"credential:{name}"}})
    else:
        print(f"{public.kid}  {public.algorithm}  {path}")
        print(f"unit           {unit}")
        print(f'configuration  file = "credential:{name}"')
    say("The first line belongs under [Service] (systemctl edit rolecall.service), the second under [key], beside")
    say('custodian = "pem"; or under [key.next], to follow the key that signs: see docs/keys/pem.md.')
    return 0


def seal(secret: Secret, name: str, with_key: SealedWith, *, patience: float = _PATIENCE) -> bytes:
    """Encrypt a secret so that systemd on this machine alone can open it, as the credential `name`. Blocks.

    It goes to systemd-creds through a pipe, and comes back encrypted, as base64 in lines; that may take `patience`
    seconds. Raises ConfigurationError for a name that is none, if systemd-creds is missing or we are not root;
    KeyUnavailable if this machine cannot do it.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name for a credential",
            hint="write up to 128 letters, digits and _.@-, as in signing-key-2",
        )
    program = shutil.which("systemd-creds")
    if program is None:
        raise ConfigurationError(
            "systemd-creds is not installed, and it is what seals", hint="it comes with systemd 250 and newer"
        )
    if os.geteuid() != 0:
        raise ConfigurationError("only root can seal a key for the unit", hint="run this as root")
    try:
        done = subprocess.run(  # noqa: S603 - what it is given has been looked at, and no shell reads it
            [program, "encrypt", f"--name={name}", f"--with-key={with_key}", "-", "-"],
            input=secret.reveal().encode(),
            capture_output=True,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # Not chained: the exception carries the command's input and output.
        raise KeyUnavailable(
            f"systemd-creds has not answered within {patience:g} s", hint="see whether the TPM hangs: tpm2_getrandom 4"
        ) from None
    except OSError as error:
        raise KeyUnavailable(f"{program} cannot be run: {error.strerror}", hint="see to that file") from error
    if done.returncode != 0 or not done.stdout:
        raise _refusal(done.stderr.decode("utf-8", "replace"))
    return done.stdout


def _refusal(said: str) -> KeyUnavailable:
    """What systemd-creds means by its complaints, which never quote what was to be encrypted."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if re.search(r"host secret|credential\.secret", said) and not re.search(r"tcti|tpm", said, re.IGNORECASE):
        return KeyUnavailable(
            f"this machine has no key to seal with: {lines[-1]}",
            hint="make it with: systemd-creds setup; where /var does not stay, seal with --seal tpm2",
        )
    if re.search(r"tcti|tpm", said, re.IGNORECASE):
        return KeyUnavailable(
            "this machine has no TPM 2.0 that systemd can use",
            hint="see what is missing with: systemd-creds has-tpm2; without one, seal with --seal host",
        )
    return KeyUnavailable(
        f"systemd-creds does not seal: {lines[-1] if lines else 'it gives no reason'}",
        hint="try it by hand: echo test | systemd-creds encrypt --name=test - -",
    )
