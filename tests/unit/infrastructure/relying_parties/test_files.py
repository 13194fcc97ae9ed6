"""Which files there are for each, and whether the tools that read them can."""

import subprocess
import tomllib
from typing import get_args

import hcl2
import pytest

from agent.infrastructure.relying_parties.files import files, grant
from agent.relying_parties import PARTIES, Name
from tests.unit.infrastructure.relying_parties.side import TRAP, side

NAMES = get_args(Name)


@pytest.mark.parametrize("name", NAMES)
def test_each_has_terraform_commands_and_a_grant(name: Name) -> None:
    folder = f"relying-parties/{name}"
    assert list(files(side(name))) == [f"{folder}/main.tf", f"{folder}/commands.sh", f"{folder}/grant.toml"]


@pytest.mark.parametrize("subject", ["host:web-1", TRAP])
@pytest.mark.parametrize("name", NAMES)
def test_shell_and_terraform_can_read_them(name: Name, subject: str) -> None:
    terraform, commands, _ = files(side(name, subject)).values()
    assert hcl2.loads(terraform)["resource"]
    for shell in (["sh", "-n"], ["bash", "-n"]):
        done = subprocess.run(shell, input=commands, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_the_grant_is_one_that_lets_a_unit_have_the_audience(name: Name) -> None:
    (granted,) = tomllib.loads(grant(side(name)))["grants"]
    assert granted == {"audiences": [PARTIES[name].audience], "unit": "backup.service"}
