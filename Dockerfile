# Serves examples/hello on port 8080. Each step is a script of scripts/, the same ones that make uses.
#   docker build --tag httpy-hello . && docker run --rm --publish 8080:8080 httpy-hello
# Both stages stand on one Debian release, so that the libpython linked is the libpython found.

FROM rust:1-slim-bookworm AS build
WORKDIR /httpy
COPY scripts scripts
RUN scripts/install-build-deps
COPY . .
RUN scripts/build-release hello

FROM debian:bookworm-slim
COPY scripts/install-runtime-deps /tmp/
RUN /tmp/install-runtime-deps && rm -rf /tmp/install-runtime-deps /var/lib/apt/lists/*
RUN useradd --system --no-create-home httpy
# The program names its Python folder by the path it was built at.
COPY --from=build /httpy/examples/hello/python /httpy/examples/hello/python
COPY --from=build /httpy/target/release/hello /usr/local/bin/hello
USER httpy
ENV HOST=0.0.0.0 PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:%s/native' % os.environ['PORT'], timeout=2)"]
# What Ctrl-C sends, and what ends the example cleanly.
STOPSIGNAL SIGINT
CMD ["hello"]
