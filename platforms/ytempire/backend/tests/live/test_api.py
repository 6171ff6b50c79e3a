"""Against a running platform. YTEMPIRE_URL, INITIAL_ADMIN_*, SERVICE_TOKEN say which."""

import os
import time
import uuid

import httpx
import pytest

URL = os.environ["YTEMPIRE_URL"]


@pytest.fixture(scope="module")
def api():
    with httpx.Client(base_url=URL, timeout=15) as client:
        login = {
            "email": os.environ["INITIAL_ADMIN_EMAIL"],
            "password": os.environ["INITIAL_ADMIN_PASSWORD"],
        }
        answer = client.post("/api/auth/login", json=login)
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest.fixture(scope="module")
def stranger(api):
    """Another user, who must not see what is not theirs."""
    new = {"email": f"{uuid.uuid4().hex[:12]}@ytempire.localhost", "password": uuid.uuid4().hex}
    assert api.post("/api/users", json=new).status_code == 201
    with httpx.Client(base_url=URL, timeout=15) as client:
        token = client.post("/api/auth/login", json=new).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


@pytest.fixture
def channel(api):
    made = api.post("/api/channels", json={"name": f"Test {uuid.uuid4().hex[:8]}"})
    assert made.status_code == 201, made.text
    yield made.json()
    assert api.delete(f"/api/channels/{made.json()['id']}").status_code == 204


def rendered(api, video, seconds=60):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        found = api.get(f"/api/videos/{video['id']}").json()
        if found["status"] in ("ready", "failed"):
            return found
        time.sleep(0.5)
    raise AssertionError(f"not rendered in {seconds} s: {found}")


def test_every_answer_carries_the_build_id(api):
    build = api.get("/api/version").json()["build_id"]
    for path in ("/api/version", "/api/channels", "/api/nothing-here"):
        assert api.get(path).headers["X-Build-Id"] == build


def test_nothing_is_readable_without_a_login():
    for path in ("/api/auth/me", "/api/users", "/api/channels", "/api/overview"):
        assert httpx.get(URL + path, timeout=15).status_code == 401


def test_a_wrong_password_is_refused_without_saying_which_part_was_wrong():
    known = {"email": os.environ["INITIAL_ADMIN_EMAIL"], "password": "wrong"}
    unknown = {"email": "nobody@ytempire.localhost", "password": "wrong"}
    answers = [httpx.post(URL + "/api/auth/login", json=who, timeout=15) for who in (known, unknown)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].text == answers[1].text


def test_guessing_a_password_is_stopped():
    guess = {"email": f"{uuid.uuid4().hex}@ytempire.localhost", "password": "wrong"}
    statuses = [
        httpx.post(URL + "/api/auth/login", json=guess, timeout=15).status_code for _ in range(11)
    ]
    assert statuses == [401] * 10 + [429]


def test_a_queued_video_is_rendered_watched_in_parts_and_accounted(api, channel):
    queued = api.post(f"/api/channels/{channel['id']}/videos", json={"title": "A test"})
    assert queued.status_code == 202
    video = rendered(api, queued.json())
    assert video["status"] == "ready", video["problem"]
    part = httpx.get(URL + video["media_url"], headers={"Range": "bytes=0-99"}, timeout=15)
    assert (part.status_code, len(part.content)) == (206, 100)
    costs = api.get(f"/api/videos/{video['id']}/costs").json()
    assert [item["kind"] for item in costs] == ["compute", "storage"]
    assert sum(float(item["amount_usd"]) for item in costs) == pytest.approx(
        float(video["cost_usd"])
    )


def test_another_users_things_are_not_there(api, stranger, channel):
    video = api.post(f"/api/channels/{channel['id']}/videos", json={"title": "Mine"}).json()
    assert stranger.get(f"/api/channels/{channel['id']}/videos").status_code == 404
    assert stranger.get(f"/api/videos/{video['id']}").status_code == 404
    assert stranger.delete(f"/api/channels/{channel['id']}").status_code == 404
    assert stranger.get("/api/users").status_code == 403


def test_a_media_link_opens_one_video_only(api, channel):
    made = [
        rendered(api, api.post(f"/api/channels/{channel['id']}/videos", json={"title": t}).json())
        for t in ("One", "Two")
    ]
    token = made[0]["media_url"].split("token=")[1]
    assert httpx.get(f"{URL}/media/{made[1]['id']}.mp4?token={token}").status_code == 403
    assert httpx.get(f"{URL}/media/{made[1]['id']}.mp4?token=none").status_code == 403


def test_automation_asking_twice_queues_once():
    headers = {
        "Authorization": f"Bearer {os.environ['SERVICE_TOKEN']}",
        "Idempotency-Key": uuid.uuid4().hex,
    }
    asked = [
        httpx.post(
            URL + "/api/automation/videos", json={"title": "Once"}, headers=headers, timeout=15
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in asked] == [202, 202]
    assert asked[0].json()["id"] == asked[1].json()["id"]


def test_automation_needs_its_token():
    answer = httpx.post(URL + "/api/automation/videos", json={"title": "No"}, timeout=15)
    assert answer.status_code == 401
