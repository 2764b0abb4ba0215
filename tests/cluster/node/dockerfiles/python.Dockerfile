# Takes the place of the image that the project's Dockerfile starts from: Debian's own Python.
FROM localhost/debian:node
RUN export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -q \
    && apt-get install -qy --no-install-recommends ca-certificates python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s python3 /usr/bin/python
ENV LANG=C.UTF-8
CMD ["python3"]
