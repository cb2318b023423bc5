"""What worker processes cost, and what they survive: ``make bench-processes``."""
