"""No fault: what every other file is measured by."""


def handle(method, path, params, query, headers, body):
    print("healthy")  # so that it needs its streams as well
    return 200, "healthy", {}
