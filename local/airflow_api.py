"""Airflow's REST API (/api/v2): the few calls that running days needs."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from graphlib import TopologicalSorter
from typing import Any

import requests

TIMEOUT_SECONDS = 60
AWAY_SECONDS = 240  # as long as a server may take to start on a slow machine
PAGE = 100  # entries asked for at once; Airflow gives no more


class AirflowError(RuntimeError):
    """Airflow refused a call or is not there; the message holds its answer."""


class Airflow:
    """One DAG of an Airflow server, as its user `admin` sees it.

    Args:
        url: address of the API server.
        dag_id: the DAG.
        user: user name.
        password: their password.
        while_away: called again and again while the server does not answer, before the call is made once more; it is
            expected to wait a little. Without it, a call that gets no answer fails at once.
    """

    def __init__(
        self, url: str, *, dag_id: str, user: str, password: str, while_away: Callable[[], None] | None = None
    ) -> None:
        self._url, self._dag_id, self._while_away = url, dag_id, while_away
        self._credentials = {"username": user, "password": password}
        self._session = requests.Session()

    def import_errors(self) -> list[str]:
        """Returns what keeps DAG files from being read."""
        return [e["stack_trace"] for e in self._call("GET", "/importErrors")["import_errors"]]

    def is_known(self) -> bool:
        """Says whether the DAG has been read and may run."""
        dags = self._call("GET", f"/dags?dag_id_pattern={self._dag_id}")["dags"]
        return any(dag["dag_id"] == self._dag_id for dag in dags)

    def unpause(self) -> None:
        """Lets the DAG's runs start."""
        self._call("PATCH", f"/dags/{self._dag_id}", json={"is_paused": False})

    def task_order(self) -> list[str]:
        """Returns task ids, each after those it waits for."""
        tasks = self._call("GET", f"/dags/{self._dag_id}/tasks")["tasks"]
        before: dict[str, set[str]] = {task["task_id"]: set() for task in tasks}
        for task in tasks:
            for later in task["downstream_task_ids"]:
                before[later].add(task["task_id"])
        return list(TopologicalSorter(before).static_order())

    def runs(self) -> list[dict[str, Any]]:
        """Returns all runs of the DAG, newest first."""
        return self._pages(f"{self._runs_path()}?order_by=-run_after", "dag_runs")

    def run(self, run_id: str) -> dict[str, Any]:
        """Returns one run."""
        return self._call("GET", f"{self._runs_path()}/{run_id}")

    def trigger(self, day: date, *, dated: bool = True, force: bool = False) -> dict[str, Any]:
        """Starts a run of a day.

        Args:
            day: the day.
            dated: the day is the run's logical date too. Airflow allows one run a logical date and starts none whose
                date lies in the future; such runs go without.
            force: a day that is done is run again.
        """
        begins = datetime.combine(day, time_of_day(), UTC)
        body = {
            "dag_run_id": f"day_{day}_{datetime.now(UTC):%Y%m%dT%H%M%S}",
            "logical_date": begins.isoformat() if dated and begins <= datetime.now(UTC) else None,
            "conf": {"day": str(day)} | ({"force": True} if force else {}),
        }
        answer = self._answer("POST", self._runs_path(), body)
        if answer.status_code == requests.codes.conflict:
            # Perhaps with this very run: the server took the call, and died before it could answer.
            there = self._answer("GET", f"{self._runs_path()}/{body['dag_run_id']}")
            return _checked(there if there.ok else answer)
        return _checked(answer)

    def clear_failed(self, run_id: str) -> None:
        """Lets a failed run continue from what failed; single tasks after that (the report) are done again too.

        Where a quality check failed, all is done again: its tables must be made anew from a source since corrected.
        """
        instances = self.task_instances(run_id)
        order = self.task_order()
        gated = any(i["state"] == "failed" and ".check_" in i["task_id"] for i in instances)
        again = [i for i in instances if gated or i["state"] != "success"]
        first = min(order.index(i["task_id"]) for i in again)
        later = [i for i in instances if i["map_index"] < 0 and order.index(i["task_id"]) > first and i not in again]
        body = {
            "dry_run": False,
            "only_failed": False,
            "dag_run_id": run_id,
            "task_ids": [i["task_id"] if i["map_index"] < 0 else [i["task_id"], i["map_index"]] for i in again + later],
        }
        self._call("POST", f"/dags/{self._dag_id}/clearTaskInstances", json=body)

    def task_instances(self, run_id: str) -> list[dict[str, Any]]:
        """Returns all task instances of a run, mapped ones each for itself."""
        return self._pages(f"{self._runs_path()}/{run_id}/taskInstances?order_by=id", "task_instances")

    def result(self, run_id: str, task_id: str) -> Any:
        """Returns what a task returned; None if it did not."""
        path = f"{self._runs_path()}/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._answer("GET", f"{path}?deserialize=true")
        return None if answer.status_code == requests.codes.not_found else _checked(answer)["value"]

    def log(self, instance: dict[str, Any]) -> list[str]:
        """Returns the log lines of the newest try of a task instance."""
        path = f"{self._runs_path()}/{instance['dag_run_id']}/taskInstances/{instance['task_id']}/logs/"
        query = f"{max(1, instance['try_number'])}?map_index={instance['map_index']}&full_content=true"
        lines: list[str] = []
        for entry in self._call("GET", path + query)["content"]:
            text = entry if isinstance(entry, str) else entry["event"]
            lines += [line for line in text.splitlines() if not line.startswith(("::group::", "::endgroup::"))]
            for error in () if isinstance(entry, str) else entry.get("error_detail") or ():
                lines.append(f"{error['exc_type']}: {error['exc_value']}")
        return lines

    def _runs_path(self) -> str:
        return f"/dags/{self._dag_id}/dagRuns"

    def _pages(self, path: str, key: str) -> list[dict[str, Any]]:
        """Returns all entries of a list that Airflow gives in pages; `path` ends with a query."""
        entries: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"{path}&limit={PAGE}&offset={len(entries)}")
            entries += page[key]
            if not page[key] or len(entries) >= page["total_entries"]:
                return entries

    def _call(self, method: str, path: str, json: Any = None) -> dict[str, Any]:
        return _checked(self._answer(method, path, json))

    def _answer(self, method: str, path: str, json: Any = None) -> requests.Response:
        url = f"{self._url}/api/v2{path}"
        answer = self._send(method, url, json)
        if answer.status_code == requests.codes.unauthorized:  # no token yet, or it has expired
            token = self._send("POST", f"{self._url}/auth/token", self._credentials)
            self._session.headers["Authorization"] = f"Bearer {_checked(token)['access_token']}"
            answer = self._send(method, url, json)
        return answer

    def _send(self, method: str, url: str, json: Any) -> requests.Response:
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return self._session.request(method, url, json=json, timeout=TIMEOUT_SECONDS)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                if self._while_away is None or time.monotonic() > deadline:
                    raise AirflowError(f"Airflow's API server does not answer: {error}; see its log") from error
            self._while_away()


def _checked(answer: requests.Response) -> dict[str, Any]:
    if not answer.ok:
        request = answer.request
        raise AirflowError(f"Airflow answered {answer.status_code} to {request.method} {request.url}: {answer.text}")
    return dict(answer.json())
