"""Takes the figures, prints as it goes, and writes ``streams.json`` and ``streams.md``.

python -m streams SERVER FOLDER [--quick] [--only TEXT]

Exit code 1 where a figure could not be taken.
"""

from run import figures, process

from .figure import FIGURES

options = figures.arguments("streams", __doc__).parse_args()
options.rounds, options.seconds = (1, 1) if options.quick else (3, 3)
process.allow_files(6_000)
figures.take("streams", "Coroutines and streams", FIGURES, options)
