# Either function as a container, for Cloud Run, Knative or any host that runs containers:
#
#   make build
#   docker build --build-arg FUNCTION=roleplay_chat --tag roleplay-chat .
#   docker run --env-file .env --publish 8080:8080 roleplay-chat
#
# It listens on $PORT, as these platforms require, and stores nothing on its disk.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS packages
ARG FUNCTION
COPY dist/${FUNCTION}/requirements.txt /requirements.txt
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes --requirement /requirements.txt

FROM python:${PYTHON}-slim
ARG FUNCTION
COPY --from=packages /venv /venv
COPY dist/${FUNCTION}/ /app/
# Compiled once here instead of at every start.
RUN python -m compileall -q /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PORT=8080
ENV FUNCTION_TARGET=${FUNCTION} FUNCTION_SOURCE=main.py FUNCTION_USE_ASGI=1
# A number, so that platforms can see that it is not root.
USER 65534:65534
EXPOSE 8080
# For hosts that use it; others have probes of their own (docs/hosting.md). The server answers this
# path itself, so the check shows that the process serves without calling the function.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/alive'); sys.exit(c.getresponse().status != 200)"]
# After SIGTERM, requests and turns go on for SHUTDOWN_SECONDS at most.
CMD ["python", "-m", "edge.server"]
