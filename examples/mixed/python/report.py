"""Reports over a list of numbers."""

import json
import statistics


def report(method, path, params, query, headers, body: bytes):
    """POST /report: mean and spread of the numbers in the body, a JSON list."""
    try:
        numbers = [float(number) for number in json.loads(body)]
        answer = {"mean": statistics.fmean(numbers), "spread": statistics.pstdev(numbers)}
    except (TypeError, ValueError, statistics.StatisticsError) as error:
        return 400, f"expected a JSON list of numbers: {error}\n", None
    return 200, json.dumps(answer) + "\n", {"Content-Type": "application/json"}
