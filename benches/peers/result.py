"""What was measured, as a flat list of runs, and the questions that the tables ask of it."""

import statistics
from dataclasses import dataclass, field

from .load import in_words


@dataclass(frozen=True)
class Spread:
    """A median with the lowest and the highest of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values):
        return cls(statistics.median(values), min(values), max(values)) if values else None

    def text(self, form="{:,.0f}"):
        """The lowest and the highest only where there was more than one round."""
        ends = f" ({form.format(self.low)} to {form.format(self.high)})" if self.low != self.high else ""
        return form.format(self.median) + ends


@dataclass
class Result:
    """`runs` has one dict for each wrk: scenario, server, round, step, number within the step, and what wrk said."""

    machine: dict
    options: dict
    runs: list = field(default_factory=list)
    own: dict = field(default_factory=dict)  # of `switches`, by name
    parts: dict = field(default_factory=dict)  # of criterion, by name, in nanoseconds
    absent: dict = field(default_factory=dict)  # (scenario, server) → what is not installed
    missing: dict = field(default_factory=dict)  # (scenario, server) → why it could not be measured
    figures: list = field(default_factory=list)

    def rounds(self, scenario, server, value, step="", number=0):
        """`value` of each round by the round's number, of those without an error."""
        return {
            run["round"]: run[value]
            for run in self.runs
            if (run["scenario"], run["server"], run["step"], run["number"]) == (scenario, server, step, number)
            and not self.errors(scenario, server)
        }

    def errors(self, scenario, server):
        """How many requests failed in all rounds, by kind."""
        total = {}
        for run in self.runs:
            if (run["scenario"], run["server"]) == (scenario, server):
                for kind, count in run["errors"].items():
                    total[kind] = total.get(kind, 0) + count
        return total

    def failures(self):
        """Every server that gave a wrong answer or none, in words."""
        asked = {(run["scenario"], run["server"]): None for run in self.runs}
        lines = [
            f"{scenario}, {server}: {in_words(self.errors(scenario, server))}"
            for scenario, server in asked
            if self.errors(scenario, server)
        ]
        lines += [f"{scenario}, {server}: {why}" for (scenario, server), why in self.missing.items()]
        for name, looks in self.own.items():
            lines += [f"{name}: {in_words(look['errors'])}" for look in looks if look["errors"]]
        return lines


def each(operation, first, second):
    """`operation` round by round, of those rounds that both have."""
    return Spread.of([operation(first[n], second[n]) for n in first if n in second])


def ratio(first, second):
    return each(lambda a, b: a / b, first, second)
