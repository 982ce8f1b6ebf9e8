"""The HTTP rim keeps its promises: nobody gets in unasked, every error is a sentence, nothing leads out of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dispatch.actor import Role
from patrol import auth, demo
from patrol.api.app import description, make_app
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace

PASSWORD = "correct horse battery"
OPEN = {("/api/login", "post"), ("/api/logout", "post"), ("/api/health", "get")}


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    """An empty store with an administrator and a pilot."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as made:
        with made.database.write() as session:
            auth.first_admin(session, made.clock, password=PASSWORD)
            roles = frozenset({Role.PILOT})
            auth.add_user(session, "pilot", "飞手", roles, PASSWORD, by="test", clock=made.clock)
        yield made


@pytest.fixture
def client(work: Workplace) -> Iterator[TestClient]:
    """A client that nobody has signed in."""
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as made:
        yield made


def _sign_in(client: TestClient, login: str) -> None:
    assert client.post("/api/login", json={"name": login, "password": PASSWORD}).status_code == 200


def _example(path: str) -> str:
    for name in ("z", "x", "y"):
        path = path.replace(f"{{{name}}}", "1")
    return path.replace("{form}", "plan").replace("{asset}", "ortho").replace("{", "").replace("}", "")


def test_every_route_but_three_asks_who_is_there(client: TestClient) -> None:
    """Without a sign-in each route answers 401 with a sentence in both languages, before it looks at anything else."""
    asked = 0
    for path, methods in description()["paths"].items():
        for method in methods:
            if (path, method) in OPEN:
                continue
            answer = client.request(method.upper(), _example(path), json={})
            assert answer.status_code in {401, 422}, (path, method, answer.text)
            if answer.status_code == 401:
                assert set(answer.json()["text"]) == {"zh", "en"}
            asked += 1
    assert asked > 20


def test_a_wrong_password_is_counted_and_locks(client: TestClient) -> None:
    """After five wrong ones even the right one is refused for a while."""
    for _ in range(5):
        assert client.post("/api/login", json={"name": "admin", "password": "wrong"}).status_code == 401
    answer = client.post("/api/login", json={"name": "admin", "password": PASSWORD})
    assert answer.status_code == 401
    assert answer.json()["code"] == "locked"


def test_a_role_may_do_only_what_the_table_says(client: TestClient) -> None:
    """A pilot looks at findings and decides none."""
    _sign_in(client, "pilot")
    assert client.get("/api/findings").status_code == 200
    answer = client.post("/api/findings/x/decision", json={"decision": "confirm"})
    assert answer.status_code == 403
    assert "triage" in answer.json()["text"]["en"]


def test_the_cookie_cannot_be_read_by_scripts(client: TestClient) -> None:
    """HttpOnly and SameSite=strict; the token in it is stored only as a hash."""
    answer = client.post("/api/login", json={"name": "admin", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_another_sites_form_is_refused(client: TestClient) -> None:
    """A request that changes something and comes from another origin goes no further."""
    _sign_in(client, "admin")
    answer = client.post("/api/areas/x/compare", json={}, headers={"Origin": "http://elsewhere.example"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "origin"


@pytest.mark.parametrize("survey", ["..%2f..%2fetc", "%2fetc%2fpasswd", "http:%2f%2fexample.org%2fa.tif", "nothing"])
def test_tiles_come_by_id_and_never_by_path(client: TestClient, survey: str) -> None:
    """What is not a survey in the store has no tile, whatever it looks like."""
    _sign_in(client, "admin")
    assert client.get(f"/api/tiles/{survey}/ortho/1/1/1").status_code == 404


def test_an_unknown_field_is_refused_by_name(client: TestClient) -> None:
    """A typing error in a body is a 422 that names it, in both languages."""
    _sign_in(client, "admin")
    answer = client.post("/api/recon", json={"lon": 120.5, "lat": 32.4, "hight_m": 40})
    assert answer.status_code == 422
    assert "hight_m" in answer.json()["text"]["zh"]


def test_recon_without_a_vehicle_says_so(client: TestClient) -> None:
    """No vehicle in reach: refused with the reason, nothing planned."""
    _sign_in(client, "admin")
    answer = client.post("/api/recon", json={"lon": 120.5, "lat": 32.4})
    assert answer.status_code == 200
    assert answer.json()["state"] == "refused"
    assert answer.json()["reasons"][0]["code"] == "no_vehicle"


def test_answers_carry_headers_that_keep_a_browser_honest(client: TestClient) -> None:
    """No framing, no sniffing, nothing from elsewhere."""
    headers = client.get("/api/health").headers
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'self'" in headers["content-security-policy"]


def test_the_description_is_openapi_3_1(client: TestClient) -> None:
    """The page's types are generated from it."""
    assert description()["openapi"].startswith("3.1")
