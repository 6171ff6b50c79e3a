import uuid
from datetime import timedelta

from app import security


def test_a_password_matches_only_itself():
    stored = security.hash_password("correct horse battery")
    assert security.check_password("correct horse battery", stored)
    assert not security.check_password("correct horse batteries", stored)


def test_an_unknown_user_never_matches():
    assert not security.check_password("nobody", None)


def test_a_token_speaks_only_for_its_audience():
    user = uuid.uuid4()
    token = security.issue_login(user)
    assert security.subject_of(token, "login") == user
    assert security.subject_of(token, "media") is None


def test_an_expired_or_forged_token_speaks_for_nobody():
    expired = security.issue(uuid.uuid4(), "login", timedelta(seconds=-1))
    assert security.subject_of(expired, "login") is None
    head, body, signature = security.issue_login(uuid.uuid4()).split(".")
    assert security.subject_of(f"{head}.{body}.{signature[::-1]}", "login") is None
    assert security.subject_of("not a token", "login") is None
