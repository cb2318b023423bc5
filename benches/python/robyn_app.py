"""The same work behind Robyn, which is given its port as the first argument.

Plain functions, which Robyn runs on a thread: they answered half as many again as `async def` did. One at a time,
though, so what sleeps is `async def`.
"""

import asyncio
import sys

import work
from robyn import Response, Robyn

port = int(sys.argv.pop(1))
app = Robyn(__file__)
TEXT = {"content-type": "text/plain; charset=utf-8"}


@app.get("/")
def trivial(request):
    return Response(status_code=200, headers={**TEXT, "x-test": "1"}, description=work.trivial())


@app.post("/json")
def price(request):
    return Response(
        status_code=200, headers={"content-type": "application/json"}, description=work.priced(request.body)
    )


@app.post("/echo")
def echo(request):
    return Response(status_code=200, headers={"content-type": "application/octet-stream"}, description=request.body)


@app.get("/fields")
def fields(request):
    headers = {name: request.headers.get(name) for name in work.FIELDS}
    return Response(status_code=200, headers={**TEXT, **headers}, description="fields")


@app.get("/sleep/:duration")
async def sleep(request):
    await asyncio.sleep(int(request.path_params["duration"]) / 1000)
    return Response(status_code=200, headers=TEXT, description="slept")


@app.get("/burn/:duration")
def burn(request):
    return Response(status_code=200, headers=TEXT, description=work.burn(int(request.path_params["duration"])))


if __name__ == "__main__":
    app.start(host="127.0.0.1", port=port)
