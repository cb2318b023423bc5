"""A worker process of the server: takes jobs from its parent, calls handlers, and answers.

The process talks to its parent, which is no Python program, over three sockets: two lanes for jobs, one for plain
handlers (`sync_lane`) and one for `async def` (`async_lane`), and `control` for everything else. `main` puts the parts
together. What handlers are promised stands in the package's other modules, which the embedded interpreter shares.
"""
