from agent.settings.draft import Draft


def test_a_draft_shows_nothing_of_what_was_written_before_it_was_checked() -> None:
    assert "hunter2" not in repr(Draft(words={"key": {"pin": "hunter2"}}))


def test_a_draft_of_nothing_lacks_everything_and_has_the_usual_directory() -> None:
    draft = Draft(words={})
    assert (draft.issuer, draft.key, draft.next_key, draft.rotation, draft.publishing) == (None, None, None, None, None)
    assert (draft.roles, draft.grants, str(draft.state)) == ({}, {}, "/var/lib/rolecall")
