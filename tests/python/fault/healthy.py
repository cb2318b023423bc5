"""No fault: what is served beside every other file."""


def handle(method, path, params, query, headers, body):
    return 200, "healthy", {}
