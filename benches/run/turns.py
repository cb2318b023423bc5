"""Rounds in turn, so that what the machine does meanwhile falls on all alike."""

from statistics import median

from peers import load


def turns(names, rounds):
    """The round's number and a name, for all of them in each round; every other round is in reverse order."""
    for number in range(rounds):
        for name in list(names)[:: 1 if number % 2 else -1]:
            yield number, name


def rates(urls, options, connections=64, body=""):
    """Requests/s of each, round by round, all of them warm. Raises `RuntimeError` where a request fails."""
    for url in urls.values():
        load.answered(load.Load(url, connections, 1, body=body))
    seen = {name: [] for name in urls}
    for _, name in turns(urls, options.rounds):
        (said,) = load.answered(load.Load(urls[name], connections, options.seconds, body=body))
        seen[name].append(said["requests_per_second"])
    return seen


def ratio(first, second):
    """Taken round by round: the median."""
    return median(one / other for one, other in zip(first, second))
