"""The application's own function that is told of events."""

from social_bitbucket_server.organizations import EventCode, tell


def test_details_without_a_value_are_left_out_and_all_others_are_texts():
    told = []
    details = {"none": None, "empty": "", "zero": 0, "list": ["a"], "text": "b"}
    tell(lambda *arguments: told.append(arguments), EventCode.LOGIN_BEGIN, details)
    assert told == [(EventCode.LOGIN_BEGIN, {"zero": "0", "list": "['a']", "text": "b"})]
