"""Writes docker/.env, passwords of docker/compose.yaml drawn by chance; a file that is there is left as it is."""

import os
import secrets
from pathlib import Path

ENV = Path(__file__).with_name(".env")
NAMES = (
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "S3_PASSWORD",
    "AIRFLOW_PASSWORD",  # of the user admin, in the browser
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
)


def main() -> None:
    """Writes the file, readable by its owner alone."""
    try:
        descriptor = os.open(ENV, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        print(f"{ENV} is there; the passwords in it stay")
        return
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={secrets.token_hex(32)}\n" for name in NAMES)
    print(f"wrote {ENV}; the password of Airflow's user admin is AIRFLOW_PASSWORD in it")


if __name__ == "__main__":
    main()
