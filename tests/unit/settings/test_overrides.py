from agent.settings.overrides import KNOWN, overridden, unknown


def test_names_that_begin_as_ours_do_must_be_ours() -> None:
    environ = dict.fromkeys(KNOWN, "x") | {
        "PATH": "/bin",
        "rolecall_x": "1",
        "ROLECALL_B": "secret",
        "ROLECALL_": "",
    }
    told = [str(mistake) for mistake in unknown(environ)]
    known = "ROLECALL_CONFIG, ROLECALL_LISTEN_CREDENTIALS, ROLECALL_LISTEN_ADMIN and ROLECALL_LOG_LEVEL"
    assert told == [
        f"{name}: is no environment variable of rolecall; it knows {known}" for name in ("ROLECALL_", "ROLECALL_B")
    ]


def test_values_of_the_environment_take_their_places_and_are_remembered() -> None:
    table = {"listen": {"admin": "a", "credentials": "b"}, "sts": {}}
    words, origins = overridden(table, {"ROLECALL_LISTEN_ADMIN": "c", "ROLECALL_LOG_LEVEL": "debug"})
    assert words == {"listen": {"admin": "c", "credentials": "b"}, "sts": {}, "log": {"level": "debug"}}
    assert origins == {"listen.admin": "ROLECALL_LISTEN_ADMIN", "log.level": "ROLECALL_LOG_LEVEL"}
    assert table == {"listen": {"admin": "a", "credentials": "b"}, "sts": {}}


def test_an_empty_variable_is_not_set() -> None:
    assert overridden({"log": {"level": "info"}}, {"ROLECALL_LOG_LEVEL": ""}) == ({"log": {"level": "info"}}, {})


def test_a_place_that_is_no_table_is_left_to_be_found_wrong() -> None:
    assert overridden({"log": "loud"}, {"ROLECALL_LOG_LEVEL": "debug"}) == ({"log": "loud"}, {})
