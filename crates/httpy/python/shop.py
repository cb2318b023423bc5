"""The app of the examples in httpy's documentation."""

PRICES = {"tea": 3, "coffee": 4}


def startup():
    return {"/price/{item}": ["GET"]}


def handle(method, path, params, query, headers, body):
    if "item" not in params:
        return 200, f"Python answers {method} {path}", {}
    item = params["item"][0]
    return 200, f"{item} costs {PRICES[item]}", {"Cache-Control": "max-age=60"}


def report(method, path, params, query, headers, body):
    return 200, "a report", {}


def fail(method, path, params, query, headers, body):
    raise ValueError("no such item")


async def delivery(method, path, params, query, headers, body):
    return 200, "tomorrow", {}
