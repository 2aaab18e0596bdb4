# airflow: what runs; sandbox: the stand-ins of docker-compose.yaml on top.
# A tag can be moved to another image, a digest cannot. For another tag, look its digest up and pass both:
#   docker buildx imagetools inspect apache/airflow:3.3.2-python3.12 --format '{{.Manifest.Digest}}'
#   docker build --build-arg AIRFLOW_IMAGE=<tag>@<digest> .
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.12@sha256:9df9c8be4096b9cc626bd7cb1f2b8c712eef66c59c615f8c7e6200871ca10bd1
FROM ${AIRFLOW_IMAGE} AS airflow
COPY requirements.txt requirements-cluster.txt constraints.txt /tmp/medallion/
# uv compares every download with its hash in constraints.txt, which pip cannot. Airflow's image has no compiled modules:
# without them each task compiles what it imports, and starts a second later
RUN pip install --no-cache-dir uv==0.13.9 \
    && uv pip install --no-cache -r /tmp/medallion/requirements-cluster.txt -c /tmp/medallion/constraints.txt \
    && { python -m compileall -qq -j 0 "$VIRTUAL_ENV/lib" || true; }
# a new volume takes its owner from the folder that it is mounted over
RUN mkdir -p /opt/airflow/auth /opt/airflow/trust
# pyarrow with jemalloc: 30 to 80 MiB less for each task (docs/deployment.md)
ENV PYTHONPATH=/opt/airflow ARROW_DEFAULT_MEMORY_POOL=jemalloc
COPY dags /opt/airflow/dags
COPY plugins /opt/airflow/plugins
COPY include /opt/airflow/include
# as root, because these folders are not writable by Airflow
USER root
RUN python -m compileall -qq /opt/airflow/include /opt/airflow/plugins
USER airflow

FROM airflow AS sandbox
USER root
RUN install -d -o airflow -g root /data /trust /events /truth
USER airflow
COPY requirements-sandbox.txt /tmp/medallion/
RUN uv pip install --no-cache -r /tmp/medallion/requirements-sandbox.txt -c /tmp/medallion/constraints.txt \
    && { python -m compileall -qq -j 0 "$VIRTUAL_ENV/lib" || true; }

FROM airflow
