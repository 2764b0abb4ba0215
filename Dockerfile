# One image for every service; the command says which: guardian-receiver, guardian-engine,
# guardian-gateway, guardian-operator or guardian.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src

# Requirements first: they change less often than the code, so this layer is mostly found cached.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements-build.lock \
    && python -m venv --without-pip /opt/guardian \
    && /opt/build/bin/pip --python /opt/guardian/bin/python install \
        --require-hashes -r requirements.lock

COPY pyproject.toml LICENSE CHANGELOG.md ./
COPY core core
COPY receiver receiver
COPY engine engine
COPY gateway gateway
COPY operator operator
COPY cli cli
# pip compiles what it installs, which the running container could not: its root is read-only.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/build/bin/pip --python /opt/guardian/bin/python install \
        --no-deps --no-index /tmp/wheel/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/guardian /opt/guardian
# Nothing is written at run time except below /data, where `guardian up` keeps its files, and in
# /tmp. A cluster mounts the root read-only, both as empty folders, and keys where the chart says.
# The user below is a number without a name in here, and kopf does not begin without a name.
ENV PATH=/opt/guardian/bin:$PATH \
    HOME=/data \
    LOGNAME=guardian \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that a cluster can see that it is not root.
RUN mkdir /data && chown 10001:10001 /data
USER 10001:10001
WORKDIR /data
VOLUME /data
# Receiver, gateway, engine and operator, in this order.
EXPOSE 8888 8889 8890 8891
STOPSIGNAL SIGTERM
CMD ["guardian", "--help"]
