# syntax=docker/dockerfile:1
#
# ferrostash with the folders of Logstash's own image: mount pipelines at /usr/share/logstash/pipeline, settings at
# /usr/share/logstash/config, keep /usr/share/logstash/data.
#
#   docker build -t ferrostash .
#   docker run --rm -p 9600:9600 -v ./my-pipeline:/usr/share/logstash/pipeline:ro ferrostash

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Downloads and build results stay in the builder's cache: an edit compiles what changed, as on a developer's machine.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin ferrostash \
    && cp target/dist/ferrostash /usr/local/bin/ferrostash

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --home-dir /usr/share/logstash --shell /usr/sbin/nologin logstash \
    && install --directory --owner=logstash --group=root --mode=0775 /usr/share/logstash/config \
        /usr/share/logstash/pipeline /usr/share/logstash/data
COPY --from=build /usr/local/bin/ferrostash /usr/local/bin/ferrostash
COPY --chmod=0755 deploy/entrypoint.sh /usr/local/bin/entrypoint
COPY --chown=logstash:root deploy/config/ /usr/share/logstash/config/
ENV LS_HOME=/usr/share/logstash LANG=C.UTF-8
WORKDIR /usr/share/logstash
USER 1000
EXPOSE 5044 9600
ENTRYPOINT ["tini", "--", "entrypoint"]
