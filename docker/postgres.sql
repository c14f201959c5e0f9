-- Airflow and MLflow each keep their tables in a schema of their own; Feast's is made by the platform.
CREATE SCHEMA airflow;
CREATE SCHEMA mlflow;
