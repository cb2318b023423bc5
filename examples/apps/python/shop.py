"""A FastAPI app as uvicorn would serve it: `uvicorn shop:app`."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import BackgroundTasks, FastAPI, Request

PRICES = {"apple": 120, "pear": 150}
sold: list[str] = []


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"opened": "at eight"}


app = FastAPI(lifespan=lifespan)


@app.get("/items/{name}")
async def item(name: str, count: int = 1) -> dict[str, int]:
    return {"cents": PRICES[name] * count}


@app.post("/items/{name}/sell")
def sell(name: str, tasks: BackgroundTasks) -> dict[str, int]:
    tasks.add_task(sold.append, name)
    return {"cents": PRICES[name]}


@app.get("/opened")
async def opened(request: Request) -> str:
    return str(request.state.opened)
