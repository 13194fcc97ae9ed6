# The agent in a container of its own. Those who are to have roles share its network namespace
# (docker run --network container:rolecall …), because SDKs send requests for credentials to loopback only.

ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY agent agent
# --without-pip: what installs is not what runs.
RUN python -m venv --without-pip /opt/rolecall \
 && PIP_CONSTRAINT=/src/constraints.txt pip --python /opt/rolecall/bin/python install \
      --no-cache-dir --disable-pip-version-check --compile . \
 && find /opt/rolecall -name '*.pyi' -delete

FROM python:${PYTHON}
# No shell script starts us and nothing is installed later, so the image needs no installer either.
RUN python -m pip uninstall --yes --root-user-action=ignore pip \
 && rm -rf /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/idlelib \
 && groupadd --system --gid 65532 rolecall \
 && useradd --system --uid 65532 --gid 65532 --no-create-home --home-dir /var/lib/rolecall rolecall \
 && install -d -o rolecall -g rolecall -m 0700 /var/lib/rolecall /run/rolecall
COPY --from=build /opt/rolecall /opt/rolecall
ENV PATH=/opt/rolecall/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /var/lib/rolecall
EXPOSE 9170 9171
# Alive, not ready: an outage of AWS is no reason to restart what still holds good credentials.
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 9171, timeout=2); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["rolecall"]
CMD ["run", "--config", "/etc/rolecall/rolecall.toml"]
