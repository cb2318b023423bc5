"""What coroutines and streamed bodies cost: ``make bench-streams``."""
