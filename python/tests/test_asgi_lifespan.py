"""The start and the end of ASGI apps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from httpy_rs._interface.asgi import App
from httpy_rs._interface.lifespan import LifespanError
from httpy_rs._interface.message import ProtocolError
from tests.exchange import LAST, START, Client, Receive, Send, run, sends, until_waiting


def lifespan(*answers: Any, then: BaseException | None = None, state: str = "pool") -> App:
    """An app that receives an event and answers it, as often as there are answers; and then raises, or returns."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
        scope["state"][state] = scope
        for answer in answers:
            event = (await receive())["type"]
            await send({"type": f"{event}.{answer}"} if isinstance(answer, str) else answer)
        if then is not None:
            raise then

    return App("shop:app", app)


async def start_and_stop(app: App) -> None:
    await app.startup()
    await app.shutdown()


def test_an_app_starts_and_ends_in_one_task_beside_its_requests() -> None:
    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                assert await receive() == {"type": f"lifespan.{event}"}
                scope["state"][event] = "done"
                await send({"type": f"lifespan.{event}.complete"})
                tasks.append(asyncio.current_task())
            return
        assert scope["state"] == {"startup": "done"}
        scope["state"]["of the request"] = 1
        await sends(START, LAST)(receive, send)

    async def main() -> None:
        whole = App("shop:app", app)
        await whole.startup()
        assert whole.lifespan.unused is None
        for _ in range(2):
            await whole(Client())
        await whole.shutdown()
        this = asyncio.current_task()
        assert [task is this for task in tasks] == [False, False, True, True, False]
        assert tasks[0] is tasks[1] is tasks[4]

    tasks: list[Any] = []
    run(main())


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (None, "it returned before the end of its startup"),
        (ValueError("only http"), "it raised ValueError: only http before the end of its startup"),
        (SystemExit(1), "it raised SystemExit: 1 before the end of its startup"),
    ],
)
def test_an_app_that_does_not_know_lifespan_is_served_without(
    then: BaseException | None, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def main() -> None:
        app = lifespan(then=then)
        await app.startup()
        assert app.lifespan.unused == why
        await app.shutdown()

    run(main())
    logged = [f"shop:app is served without lifespan: {why}"] if then else []
    assert caplog.messages == logged


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"type": "http.response.start"}, "got 'http.response.start': expected lifespan.startup.complete or "),
        ("done", "got 'lifespan.startup.done': expected lifespan.startup.complete or lifespan.startup.failed"),
        (
            {"type": "lifespan.shutdown.complete"},
            "got 'lifespan.shutdown.complete': expected lifespan.startup.complete",
        ),
    ],
)
def test_a_wrong_message_of_a_startup_raises_in_the_app(answer: Any, why: str) -> None:
    app = lifespan(answer)
    run(start_and_stop(app))
    assert why in str(app.lifespan.unused)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"type": "lifespan.startup.failed", "message": "no database"}, "no database"),
        ({"type": "lifespan.startup.failed"}, "without a message"),
    ],
)
@pytest.mark.parametrize("then", [None, ValueError("no database")])
def test_a_startup_that_fails_is_an_error_with_the_apps_message(
    answer: Any, text: str, then: BaseException | None
) -> None:
    with pytest.raises(LifespanError) as caught:
        run(lifespan(answer, then=then).startup())
    assert str(caught.value) == f"shop:app sent lifespan.startup.failed: {text}"


def test_a_shutdown_that_fails_is_an_error_with_the_apps_message() -> None:
    app = lifespan("complete", {"type": "lifespan.shutdown.failed", "message": "still open"})
    with pytest.raises(LifespanError, match=r"^shop:app sent lifespan.shutdown.failed: still open$"):
        run(start_and_stop(app))


def test_an_app_that_raises_in_its_lifespan_fails_at_shutdown() -> None:
    for app in (
        lifespan("complete", then=ValueError("early")),
        lifespan("complete", {"type": "wrong"}),
    ):
        with pytest.raises(LifespanError, match=r"^shop:app raised .* in its lifespan$") as caught:
            run(start_and_stop(app))
        assert caught.value.__cause__ is not None


def test_an_app_that_returns_or_raises_after_its_answer_has_shut_down() -> None:
    for app in (
        lifespan("complete"),
        lifespan("complete", "complete"),
        lifespan("complete", "complete", then=ValueError("late")),
    ):
        run(start_and_stop(app))


def test_a_second_answer_to_one_event_raises_in_the_app() -> None:
    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        with pytest.raises(ProtocolError) as caught:
            await send({"type": "lifespan.startup.complete"})
        texts.append(str(caught.value))

    texts: list[str] = []
    run(start_and_stop(App("shop:app", app)))
    assert texts == ["send() got 'lifespan.startup.complete' when no lifespan event was to be answered"]


def test_a_start_that_is_cancelled_cancels_the_app() -> None:
    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("cancelled")

    async def main() -> None:
        task = asyncio.create_task(App("shop:app", app).startup())
        await until_waiting(task)
        task.cancel()
        await asyncio.wait([task])
        while not ended:
            await asyncio.sleep(0)

    ended: list[str] = []
    run(main())
    assert ended == ["cancelled"]
