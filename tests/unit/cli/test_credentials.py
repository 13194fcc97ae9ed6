import json
from pathlib import Path

from agent.cli.credentials import EXAMPLE
from tests.fakes.answering import answering, http
from tests.fakes.commands import rolecall
from tests.fakes.written import SET, write_configuration


def test_the_document_is_that_of_credential_process(tmp_path: Path) -> None:
    with answering(http(200, SET)) as agent:
        written = write_configuration(tmp_path, credentials=agent.port)
        done = rolecall("credentials", "backup", "-c", written.config)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "Version": 1,
        "AccessKeyId": SET["AccessKeyId"],
        "SecretAccessKey": SET["SecretAccessKey"],
        "SessionToken": SET["Token"],
        "Expiration": SET["Expiration"],
        "AccountId": SET["AccountId"],
    }


def test_half_a_set_is_none(tmp_path: Path) -> None:
    with answering(http(200, SET | {"Token": ""})) as agent:
        written = write_configuration(tmp_path, credentials=agent.port)
        done = rolecall("credentials", "backup", "-c", written.config)
    assert (done.returncode, done.stdout) == (1, "")
    assert "made-up-secret-key" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_agent_that_is_just_starting_is_waited_for(tmp_path: Path) -> None:
    with answering(b"", b"", http(200, SET)) as agent:
        written = write_configuration(tmp_path, credentials=agent.port)
        assert rolecall("credentials", "backup", "-c", written.config).returncode == 0


def test_what_sdks_show_their_user_is_one_sentence_and_a_hint(tmp_path: Path) -> None:
    denied = http(403, {"code": "AccessDenied", "message": "This caller may not have this role."})
    with answering(denied) as agent:
        written = write_configuration(tmp_path, credentials=agent.port)
        done = rolecall("credentials", "backup", "-c", written.config)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: the agent refused role backup: This caller may not have this role.",
        f"hint: compare the grants with what the agent sees of this caller: rolecall who; token shown: {written.token}",
    ]


def test_the_example_is_what_goes_into_the_aws_config_file() -> None:
    assert "credential_process = rolecall credentials backup" in EXAMPLE
