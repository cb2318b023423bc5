"""Prices: rules that change every week, so they are Python."""

import json

import httpy_rs

PRICES = {"apple": 120, "pear": 90}
REGULARS = {"ada", "grace"}


def price(method, path, params, query, headers, body):
    """GET /price/{item}: the price in cents, a tenth less for regulars."""
    item = params["item"][0]
    if item not in PRICES:
        return 404, f"no item {item!r}\n", None
    user = httpy_rs.request().extras.get("user")
    cents = PRICES[item] * 9 // 10 if user in REGULARS else PRICES[item]
    answer = json.dumps({"item": item, "cents": cents, "user": user})
    return 200, answer + "\n", {"Content-Type": "application/json"}
