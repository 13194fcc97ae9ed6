"""Does what the README tells people to paste work as it stands?"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.commands import clean
from tests.fakes.ports import own_port

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
AWS = Path(sys.executable).with_name("aws")


def walk() -> str:
    section = (ROOT / "README.md").read_text().partition("## Try it end to end without AWS")[2]
    (shown,) = re.findall(r"```\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return str(shown)


@pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed in this environment")
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_walk_without_aws_can_be_pasted(tmp_path: Path) -> None:
    (programs := tmp_path / "programs").mkdir()
    (programs / "aws").symlink_to(AWS)
    (programs / "rolecall").write_text(f'#!/bin/sh\nexec {sys.executable} -m agent "$@"\n')
    (programs / "rolecall").chmod(0o755)
    environ = clean(
        PATH=f"{programs}:/usr/bin:/bin",
        PYTHONPATH=str(ROOT),
        HOME=str(tmp_path),
        ROLECALL_LISTEN_CREDENTIALS=f"127.0.0.1:{own_port()}",  # the README's ports may be taken
        ROLECALL_LISTEN_ADMIN=f"127.0.0.1:{own_port()}",
    )
    pasted = walk().replace("9180", str(own_port()))
    done = subprocess.run(
        ["bash", "-ec", f"trap 'kill %1 %2 2>/dev/null || true' EXIT\n{pasted}\nwait"],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    logs = "".join(path.read_text() for path in tmp_path.glob("trial/*.log"))
    assert done.returncode == 0, done.stderr + logs
    identity = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("\n{") + 1)[0]
    assert identity["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/backup/")
    assert " hello.txt\n" in done.stdout
    assert "  backup  good " in done.stdout
