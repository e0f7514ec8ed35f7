"""The listener against its own OpenAPI document, as schemathesis reads it (`pip install hoox-tui[fuzz]`)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.intake.limits import Patience
from engine.intake.listener import Listener
from engine.intake.listening import ListenerConfig
from tests.intake_kit import Desk

schemathesis: Any = pytest.importorskip("schemathesis", reason="schemathesis is not installed: extra `fuzz`")
hypothesis: Any = pytest.importorskip("hypothesis")

CASES = 150

pytestmark = pytest.mark.soak


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, patience=Patience(guesses=10**9))


@pytest.fixture
def url(desk: Desk) -> Iterator[str]:
    """A listener on a loop of its own: schemathesis calls from this thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    listener = Listener(ListenerConfig(port=0), desk.pipeline)
    run(listener.start())
    yield f"http://{listener.address}"
    run(listener.stop())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("path", ["/webhook", "/webhook/{source}", "/process"])
def test_what_the_document_says_is_what_the_listener_does(desk: Desk, url: str, path: str, valid: bool) -> None:
    key = desk.source().api_key
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    mode = schemathesis.GenerationMode.POSITIVE if valid else schemathesis.GenerationMode.NEGATIVE
    statuses: set[int] = set()

    @hypothesis.given(case=schema[path]["POST"].as_strategy(generation_mode=mode))
    @hypothesis.settings(max_examples=CASES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    def sent(case: Any) -> None:
        if isinstance(case.body, dict) and path != "/process":
            case.body["apiKey"] = key
            case.body.setdefault("idempotencyKey", "k")
        if path == "/process":
            case.headers["X-Internal-Auth-Key"] = key
        if "source" in case.path_parameters:
            case.path_parameters["source"] = "tv"
        answer = case.call(base_url=url)
        case.validate_response(
            answer,
            checks=[
                schemathesis.checks.not_a_server_error,
                schemathesis.specs.openapi.checks.status_code_conformance,
                schemathesis.specs.openapi.checks.content_type_conformance,
                schemathesis.specs.openapi.checks.response_schema_conformance,
            ],
        )
        statuses.add(answer.status_code)

    sent()
    assert statuses <= {200, 202, 400, 403, 404, 409, 413, 415}
    assert not valid or statuses & {200, 202}, "nothing the document allows was taken"
    assert len(desk.engine.orders) <= len(desk.engine.arrivals)
