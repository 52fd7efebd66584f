# syntax=docker/dockerfile:1
# The app in a small image: Python without a compiler, every package by its hash, nobody root.
# The base is named by the digest of its index for every processor (`docker buildx imagetools inspect` shows it).
#   docker build -t tale .
#   docker run --rm -p 127.0.0.1:8501:8501 -v tale-data:/data -v tale-cache:/cache tale
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements-postgres.lock /tmp/requirements.lock
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.lock

FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
# libgomp is what llama.cpp's wheel computes with; HAProxy stands before several processes, if there are any.
RUN apt-get update \
    && apt-get install -y --no-install-recommends haproxy libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 tale \
    && useradd --system --uid 10001 --gid tale --home-dir /data --shell /usr/sbin/nologin tale \
    && install -d -o tale -g tale -m 0700 /data /cache
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY app.py LICENSE README.md ./
COPY .streamlit/config.toml .streamlit/config.toml
COPY data data
COPY pages pages
COPY ui ui
COPY tale_core tale_core
RUN /opt/venv/bin/python -m compileall -q /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TALE_DATA_DIR=/data \
    TALE_CACHE_DIR=/cache \
    TALE_LOG_FORMAT=json
USER 10001:10001
VOLUME ["/data", "/cache"]
EXPOSE 8501
# Streamlit ends in order on SIGTERM; running jobs write what they have and can be resumed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=15s --start-period=40s --retries=3 \
    CMD ["python", "-m", "tale_core", "health", "--page", "http://127.0.0.1:8501"]
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501"]
