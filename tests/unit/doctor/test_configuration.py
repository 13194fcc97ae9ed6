from agent.doctor.configuration import read, refused


def test_every_mistake_is_an_error_of_its_own() -> None:
    tried = refused("sts.region: is missing\nkey: is missing", "correct the file")
    assert [(one.severity, one.what, one.hint) for one in tried.findings] == [
        ("error", "sts.region: is missing", "correct the file"),
        ("error", "key: is missing", "correct the file"),
    ]
    assert tried.is_broken


def test_a_refusal_without_words_is_still_an_error() -> None:
    assert refused("", "correct the file").is_broken


def test_doubts_are_warnings_about_their_setting() -> None:
    tried = read("/etc/rolecall/rolecall.toml", ["grants#2.token_file: /t does not exist"])
    assert tried.good == "/etc/rolecall/rolecall.toml can be used"
    assert [(one.severity, one.about) for one in tried.findings] == [("warning", "grants.token_file")]
