"""The platform on one machine: installs it, starts and stops its servers, runs days through Airflow."""
