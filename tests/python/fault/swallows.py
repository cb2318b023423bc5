"""Never ends, and catches whatever is raised to end it."""


def handle(method, path, params, query, headers, body):
    print("begun")
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
