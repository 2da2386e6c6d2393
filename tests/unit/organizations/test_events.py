"""Events: codes that stay, and words for the organization's admin."""

from __future__ import annotations

from social_bitbucket_server.organizations import EventCode, EventKind


def test_the_name_of_each_event_is_its_code() -> None:
    assert [code for code in EventCode if code.name != code.value.upper().replace(".", "_")] == []


def test_each_event_has_a_sentence_of_its_own() -> None:
    sentences = [code.sentence for code in EventCode]
    assert [sentence for sentence in sentences if not sentence.endswith(".")] == []
    assert len(set(sentences)) == len(sentences)


def test_the_admin_sees_every_event_but_the_operators_own() -> None:
    assert [code for code in EventCode if not code.is_shown] == [EventCode.OUTBOUND_BLOCKED]


def test_a_list_can_be_filtered_by_kinds_that_are_never_empty() -> None:
    assert [kind for kind in EventKind if not kind.codes] == []
    assert len({kind.label for kind in EventKind}) == len(EventKind)


def test_the_kinds_divide_the_events_that_the_admin_sees() -> None:
    of_all_kinds = [code for kind in EventKind for code in kind.codes]
    assert sorted(of_all_kinds) == sorted(code for code in EventCode if code.is_shown)


def test_events_of_the_login_link_are_no_logins() -> None:
    assert EventCode.LOGIN_SUCCESS.kind is EventKind.LOGIN
    assert EventCode.LOGIN_LINK_CLOSED.kind is EventKind.LOGIN_LINK
    assert EventCode.INTEGRATION_ENFORCED.kind is EventKind.LOGIN_LINK
