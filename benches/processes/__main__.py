"""Takes the figures, prints as it goes, and writes ``processes.json`` and ``processes.md``.

python -m processes SERVER FOLDER [--quick] [--only TEXT] [--soak REQUESTS]

Exit code 1 where a figure could not be taken.
"""

from run import figures

from .figure import FIGURES

arguments = figures.arguments("processes", __doc__)
arguments.add_argument("--soak", type=int, default=0, help="requests of the last figure")
options = arguments.parse_args()
options.rounds, options.seconds = (1, 1) if options.quick else (5, 5)
options.soak = options.soak or (100_000 if options.quick else 20_000_000)
figures.take("processes", "Worker processes", FIGURES, options)
