# Image of `serve` and `embed` for processors, with the bundled model. To build it, BuildKit is needed (cache mounts).
#
#   docker build -t ko-sts .
#   docker run --rm -p 8080:8080 -e KO_STS_API_KEYS=a-key ko-sts
#   docker run --rm -p 127.0.0.1:8080:8080 ko-sts --address 0.0.0.0 --allow-anonymous # for this machine alone
#   docker run --rm -v "$PWD/tables:/tables" --user "$(id -u)" --entrypoint embed ko-sts \
#     --input /tables/in --output /tables/out

FROM rust:1.91-bookworm AS build
# pip is how scripts/setup.sh fetches libtorch where PyTorch's own site does not answer.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# Before the sources, so that a change of these does not fetch libtorch again. It lies in $KO_STS_CACHE, and /src/.libtorch
# is a link to it.
ENV KO_STS_CACHE=/opt/ko-sts PIP_NO_CACHE_DIR=1
COPY scripts/setup.sh scripts/
RUN scripts/setup.sh

COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY crates crates
# Dependencies are kept between builds; the workspace's own files are touched, since cargo compares times alone and a source
# that was put back to what it was has an old one. What a cache mount holds is no part of a layer: hence /out. The libraries
# there are those of libtorch that the two programs load, and no others.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    find crates -type f -exec touch {} + \
    && cargo build --release --locked --bin serve --bin embed \
    && install -D --target-directory=/out/bin target/release/serve target/release/embed \
    && mkdir -p /out/lib \
    && ldd target/release/serve target/release/embed | awk '/\/\.libtorch\/lib\// {print $3}' | sort -u \
       | xargs cp --dereference --target-directory=/out/lib

# Of the same Debian as the build, whose libc and libstdc++ the programs need. No package is added: the certificates that
# downloads from a model hub are checked against lie inside the programs.
FROM debian:bookworm-slim
RUN groupadd --gid 10001 ko-sts \
    && useradd --uid 10001 --gid 10001 --no-create-home ko-sts \
    && install --directory --owner=ko-sts --group=ko-sts /var/cache/huggingface

# The programs look for libtorch relative to a checkout's target folder, which is not here. So it goes where the loader
# looks, which, unlike LD_LIBRARY_PATH, holds for programs that are started with another environment too.
COPY --from=build /out/lib/ /usr/local/lib/
RUN ldconfig

# Both programs name the bundled model relative to where they run.
WORKDIR /opt/ko-sts
COPY LICENSE ./
COPY checkpoints/ko-sts-small checkpoints/ko-sts-small
COPY --from=build /out/bin/ /usr/local/bin/

# As a number: Kubernetes cannot tell of a name that it is not root's.
USER 10001:10001
# Models named by a hub id are kept here; mount a volume to keep them longer than a container.
ENV HF_HOME=/var/cache/huggingface
# Fails now rather than at a user's if a library is missing.
RUN serve --version && embed --version

EXPOSE 8080
# By bash, which opens connections itself: the image has no curl. It asks plain HTTP on the default port; for other settings,
# and for embed, say --no-healthcheck. Kubernetes has probes of its own and does not look at this.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 \
    && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["serve"]
# Arguments of `docker run` stand in the place of these, so they have to name an address too. Without API keys the server
# does not start on it, unless --allow-anonymous is among them.
CMD ["--address", "0.0.0.0"]
