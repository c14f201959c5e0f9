"""Calls to an API server that is away for a while, or dies in the middle of a call."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from local.airflow_api import Airflow, AirflowError
from local.ports import free_ports

DAY = date(2026, 1, 3)


class Server(BaseHTTPRequestHandler):
    """Keeps the runs it is told to start; does not live to answer the first of these calls."""

    runs: dict[str, dict[str, str]]
    dies: bool

    def do_GET(self) -> None:
        run = self.runs.get(self.path.rpartition("/")[2])
        self._answer(200 if run else 404, run or {})

    def do_POST(self) -> None:
        run_id = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dag_run_id"]
        there = run_id in self.runs
        self.runs[run_id] = {"dag_run_id": run_id}
        if type(self).dies:
            type(self).dies = False
            self.close_connection = True  # no answer
        else:
            self._answer(409 if there else 200, self.runs[run_id])

    def _answer(self, status: int, content: dict[str, str]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(port: int, *, dies: bool = False) -> Iterator[dict[str, dict[str, str]]]:
    runs: dict[str, dict[str, str]] = {}
    handler = type("Handler", (Server,), {"runs": runs, "dies": dies})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield runs
        server.shutdown()
        thread.join()


def test_a_call_is_made_again_until_the_server_is_back() -> None:
    (port,) = free_ports(1)
    tries = []
    with ExitStack() as stack:

        def while_away() -> None:
            tries.append("away")
            if len(tries) == 3:
                stack.enter_context(serving(port))

        airflow = Airflow(f"http://127.0.0.1:{port}", dag_id="d", user="u", password="p", while_away=while_away)
        assert airflow.trigger(DAY)["dag_run_id"].startswith(f"day_{DAY}_")
    assert len(tries) == 3


def test_a_run_whose_start_was_never_answered_is_not_started_twice() -> None:
    (port,) = free_ports(1)
    with serving(port, dies=True) as runs:
        airflow = Airflow(f"http://127.0.0.1:{port}", dag_id="d", user="u", password="p", while_away=lambda: None)
        started = airflow.trigger(DAY)
        assert list(runs) == [started["dag_run_id"]]


def test_a_server_that_nobody_waits_for_is_an_error_at_once() -> None:
    (port,) = free_ports(1)
    airflow = Airflow(f"http://127.0.0.1:{port}", dag_id="d", user="u", password="p")
    with pytest.raises(AirflowError, match="does not answer"):
        airflow.runs()


def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.airflow_api.AWAY_SECONDS", 0)
    (port,) = free_ports(1)
    airflow = Airflow(f"http://127.0.0.1:{port}", dag_id="d", user="u", password="p", while_away=lambda: None)
    with pytest.raises(AirflowError, match="does not answer"):
        airflow.runs()
