FROM apache/airflow:3.3.2-python3.12
COPY requirements.txt constraints.txt /tmp/medallion/
RUN pip install --no-cache-dir -r /tmp/medallion/requirements.txt -c /tmp/medallion/constraints.txt
RUN mkdir -p /opt/airflow/auth
ENV PYTHONPATH=/opt/airflow
COPY dags /opt/airflow/dags
COPY plugins /opt/airflow/plugins
COPY include /opt/airflow/include
