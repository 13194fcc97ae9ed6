from dataclasses import replace
from pathlib import Path

from agent.cli.first_configuration import Answers
from agent.cli.next_steps import Written, next_steps
from agent.infrastructure import Account

ROLES = {"backup": "arn:aws:iam::123456789012:role/backup"}
ANSWERS = Answers("https://oidc.example.com", "eu-central-1", ROLES, Path("/etc/rolecall"))
SERVICE = Written(
    replace(ANSWERS, service=True),
    Path("/etc/rolecall/rolecall.toml"),
    "https://oidc.example.com/.well-known/openid-configuration",
    (Account("aws", "123456789012"), Account("aws-cn", "210987654321")),
    by_root=True,
    grouped=True,
)


def commands(written: Written) -> list[str]:
    return [line.strip() for line in next_steps(written).splitlines() if line.startswith("       ")]


def test_a_service_is_started_by_systemd_and_another_gets_its_role_by_a_drop_in() -> None:
    terraform, folder = "terraform -chdir=/etc/rolecall/terraform", "/etc/systemd/system/backup.service.d"
    assert commands(SERVICE) == [
        "curl https://oidc.example.com/.well-known/openid-configuration",
        f"{terraform}/123456789012 init",
        f"{terraform}/123456789012 apply",
        f"{terraform}/aws-cn-210987654321 init",
        f"{terraform}/aws-cn-210987654321 apply",
        "rolecall check -c /etc/rolecall/rolecall.toml",
        "systemctl enable --now rolecall.service",
        f"mkdir -p {folder}",
        f"rolecall env -c /etc/rolecall/rolecall.toml backup --format systemd >{folder}/rolecall.conf",
        "systemctl daemon-reload && systemctl restart backup.service",
    ]


def test_what_the_agents_user_cannot_read_yet_is_handed_over_before_the_start() -> None:
    found = commands(replace(SERVICE, by_root=False, grouped=False))
    before = found[5 : found.index("rolecall check -c /etc/rolecall/rolecall.toml")]
    assert before == [
        "chown -R root:root /etc/rolecall",
        "systemd-sysusers",
        "chgrp rolecall /etc/rolecall/tokens/* && chmod 640 /etc/rolecall/tokens/*",
    ]


def test_the_unit_is_told_where_another_place_is() -> None:
    elsewhere = replace(ANSWERS, directory=Path("/srv/rolecall"), service=True)
    found = commands(replace(SERVICE, answers=elsewhere, configuration=Path("/srv/rolecall/rolecall.toml")))
    at = found.index("[Service]")
    assert found[at : at + 4] == [
        "[Service]",
        "LoadCredential=signing-key:/srv/rolecall/signing-key.pem",
        "ExecStart=",
        "ExecStart=/usr/bin/rolecall run --config /srv/rolecall/rolecall.toml",
    ]
    assert "[Service]" not in commands(SERVICE)


def test_a_process_is_started_by_hand() -> None:
    found = commands(replace(SERVICE, answers=ANSWERS, by_root=False))
    assert found[-1] == "rolecall run -c /etc/rolecall/rolecall.toml"
    assert "rolecall exec" in next_steps(replace(SERVICE, answers=ANSWERS))
