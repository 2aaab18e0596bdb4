# airflow: what runs; sandbox: the stand-ins of docker-compose.yaml on top.
FROM apache/airflow:3.3.2-python3.12 AS airflow
COPY requirements.txt requirements-cluster.txt constraints.txt /tmp/medallion/
RUN pip install --no-cache-dir -r /tmp/medallion/requirements-cluster.txt -c /tmp/medallion/constraints.txt
# a new volume takes its owner from the folder that it is mounted over
RUN mkdir -p /opt/airflow/auth /opt/airflow/trust
ENV PYTHONPATH=/opt/airflow
COPY dags /opt/airflow/dags
COPY plugins /opt/airflow/plugins
COPY include /opt/airflow/include

FROM airflow AS sandbox
USER root
RUN install -d -o airflow -g root /data /trust /events /truth
USER airflow
COPY requirements-sandbox.txt /tmp/medallion/
RUN pip install --no-cache-dir -r /tmp/medallion/requirements-sandbox.txt -c /tmp/medallion/constraints.txt

FROM airflow
