# Takes the place of the chart's Valkey image: Debian's package under the same user.
FROM localhost/debian:node
RUN groupadd --system --gid 999 valkey \
    && useradd --system --uid 999 --gid valkey --home-dir /var/lib/valkey valkey \
    && export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -q \
    && apt-get install -qy --no-install-recommends valkey-server \
    && rm -rf /var/lib/apt/lists/*
USER valkey
CMD ["valkey-server"]
