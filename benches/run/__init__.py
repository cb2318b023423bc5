"""What ``faults``, ``streams`` and ``processes`` share: how a run goes, the servers that it starts, and its report."""
