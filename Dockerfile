# syntax=docker/dockerfile:1
# bricktrail in a small image: one binary, no shell, no root.
#
#   docker build -t bricktrail .
#   docker run --rm bricktrail --help

FROM rust:1.95-slim-trixie AS build
# For the C parts of the TLS library and of zstd.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake=3.31.* g++=4:14.* make=4.4.* \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY queries queries
# The tests and benches are named in Cargo.toml, and not needed to build the binary.
RUN mkdir -p tests benches \
    && touch tests/it.rs benches/floor.rs benches/identity.rs benches/ingest.rs benches/policy.rs benches/settle.rs benches/worker.rs
RUN cargo build --profile dist --locked --bin bricktrail

FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /src/target/dist/bricktrail /usr/local/bin/bricktrail
# Health and metrics; `run.listen` must name 0.0.0.0 for others to reach them.
EXPOSE 9464
USER 65532
ENTRYPOINT ["/usr/local/bin/bricktrail"]
