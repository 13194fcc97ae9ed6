from dataclasses import replace
from pathlib import Path

from agent.cli.first_configuration import Answers
from agent.cli.next_steps import Written, next_steps
from agent.infrastructure import Account

ROLES = {"backup": "arn:aws:iam::123456789012:role/backup"}
ANSWERS = Answers("https://oidc.example.com", "eu-central-1", ROLES, Path("/etc/rolecall"))
SERVICE = Written(
    replace(ANSWERS, service=True, state=Path("/var/lib/rolecall")),
    Path("/etc/rolecall/rolecall.toml"),
    "https://oidc.example.com/.well-known/openid-configuration",
    (Account("aws", "123456789012"), Account("aws-cn", "210987654321")),
    by_root=True,
    adopted=True,
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
    found = commands(replace(SERVICE, by_root=False, adopted=False))
    before = found[5 : found.index("rolecall check -c /etc/rolecall/rolecall.toml")]
    assert before == [
        "chown -R root:root /etc/rolecall",
        "systemd-sysusers",
        "chown -R rolecall:rolecall /var/lib/rolecall",
        "chgrp rolecall /etc/rolecall/tokens/* && chmod 640 /etc/rolecall/tokens/*",
    ]


def test_the_site_is_served_from_where_the_agent_keeps_it_current() -> None:
    assert "1. Serve /var/lib/rolecall/site at https://oidc.example.com." in next_steps(SERVICE)


def test_the_unit_is_told_where_other_places_are() -> None:
    elsewhere = replace(SERVICE, answers=replace(SERVICE.answers, directory=Path("/srv/rolecall")))
    found = commands(replace(elsewhere, configuration=Path("/srv/rolecall/rolecall.toml")))
    at = found.index("[Service]")
    run = "ExecStart=/usr/bin/rolecall run --config /srv/rolecall/rolecall.toml"
    assert found[at + 1 : at + 3] == ["ExecStart=", run]
    found = commands(replace(SERVICE, answers=replace(SERVICE.answers, state=Path("/srv/state"))))
    at = found.index("[Service]")
    assert found[at + 1 : at + 3] == [
        "ReadWritePaths=/srv/state",
        "rolecall check -c /etc/rolecall/rolecall.toml",
    ]
    assert "[Service]" not in commands(SERVICE)


def test_a_bucket_is_made_and_published_to_before_aws_is_told() -> None:
    bucket = replace(SERVICE, answers=replace(SERVICE.answers, publishing={"to": "s3", "bucket": "b"}))
    assert commands(bucket)[:4] == [
        "terraform -chdir=/etc/rolecall/terraform/hosting init",
        "terraform -chdir=/etc/rolecall/terraform/hosting apply",
        "rolecall publish -c /etc/rolecall/rolecall.toml",
        "curl https://oidc.example.com/.well-known/openid-configuration",
    ]


def test_our_own_listener_may_have_its_port_and_its_key() -> None:
    words = {"to": "https", "certificate": "/c.pem", "private_key": "/k.pem"}
    found = commands(replace(SERVICE, answers=replace(SERVICE.answers, publishing=words)))
    at = found.index("[Service]")
    assert found[at + 1 : at + 5] == [
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "SocketBindAllow=tcp:443",
        "LoadCredential=tls-key:/k.pem",
    ]
    assert "/etc/rolecall/site" not in next_steps(replace(SERVICE, answers=replace(ANSWERS, publishing=words)))


def test_a_unit_that_is_granted_a_role_gets_the_drop_in() -> None:
    by_unit = replace(SERVICE, answers=replace(SERVICE.answers, granted={"backup": {"unit": "nightly.service"}}))
    folder = "/etc/systemd/system/nightly.service.d"
    assert commands(by_unit)[-3:] == [
        f"mkdir -p {folder}",
        f"rolecall env -c /etc/rolecall/rolecall.toml backup --format systemd >{folder}/rolecall.conf",
        "systemctl daemon-reload && systemctl restart nightly.service",
    ]
    pattern = replace(SERVICE, answers=replace(SERVICE.answers, granted={"backup": {"unit": "nightly@*.service"}}))
    assert "mkdir -p /etc/systemd/system/nightly@.service.d" in commands(pattern)
    assert commands(pattern)[-1] == "systemctl daemon-reload && systemctl restart 'nightly@*.service'"


def test_where_no_role_has_a_token_none_is_handed_over() -> None:
    answers = replace(SERVICE.answers, granted={"backup": {"user": "alice"}})
    found = commands(replace(SERVICE, answers=answers, adopted=False))
    assert not [command for command in found if "tokens" in command]


def test_who_has_a_role_can_be_seen_where_it_is_not_whoever_set_it_up() -> None:
    answers = replace(ANSWERS, granted={"backup": {"unit": "backup.service"}})
    said = next_steps(replace(SERVICE, answers=answers))
    assert "4. See who has it: rolecall who -c /etc/rolecall/rolecall.toml backup --unit backup.service" in said


def test_a_process_is_started_by_hand() -> None:
    found = commands(replace(SERVICE, answers=ANSWERS, by_root=False))
    assert found[-1] == "rolecall run -c /etc/rolecall/rolecall.toml"
    by_root = replace(SERVICE, answers=ANSWERS)
    assert "rolecall exec" in next_steps(by_root)
    private = "/etc/rolecall/keys /etc/rolecall/site /etc/rolecall/tokens"
    assert f"chown -R USER: {private}" in commands(by_root)
