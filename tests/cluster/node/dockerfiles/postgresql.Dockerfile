# Takes the place of the chart's PostgreSQL image: Debian's package, the same user and environment.
FROM localhost/debian:node
RUN groupadd --system --gid 999 postgres \
    && useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql postgres \
    && export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -q \
    && apt-get install -qy --no-install-recommends postgresql-common \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
    && apt-get install -qy --no-install-recommends postgresql \
    # Half of it all is the compiler for long queries, which nobody asks here.
    && rm -rf /usr/lib/*/libLLVM* /usr/lib/postgresql/*/lib/*llvmjit* \
        /usr/lib/postgresql/*/lib/bitcode \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
COPY --chmod=755 postgresql-entrypoint /usr/local/bin/
ENV LANG=C.UTF-8 \
    PGDATA=/var/lib/postgresql/data
USER postgres
STOPSIGNAL SIGINT
ENTRYPOINT ["postgresql-entrypoint"]
CMD ["postgres"]
