"""Makes Rust code panic inside of httpy: PyO3 resumes a panic where it meets its own exception for one."""


def handle(method, path, params, query, headers, body):
    if path == "/raise":
        raise ValueError("so that PyO3 has its exception types")
    (panic,) = (found for found in BaseException.__subclasses__() if found.__name__ == "PanicException")
    raise panic("from Python")
