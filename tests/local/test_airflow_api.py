from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from local.airflow_api import Airflow


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_lists_longer_than_a_page_are_read_to_their_end(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    asked = []

    def answer(self: Airflow, method: str, path: str, json: Any = None) -> dict[str, Any]:
        query = {name: values[0] for name, values in parse_qs(urlparse(path).query).items()}
        asked.append(query)
        first, size = int(query["offset"]), min(int(query["limit"]), 100)
        names = [f"run {n}" for n in range(count)]
        return {"dag_runs": names[first : first + size], "total_entries": count}

    monkeypatch.setattr(Airflow, "_call", answer)
    airflow = Airflow("http://127.0.0.1:1", dag_id="d", user="u", password="p")
    assert airflow.runs() == [f"run {n}" for n in range(count)]
    assert len(asked) == max(1, -(-count // 100))
    assert all(query["order_by"] == "-run_after" for query in asked)
