"""Servers that die are started again; real processes, killed for real."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from config import PlatformConfig
from local import processes, servers, services
from local.ports import free_ports
from local.services import Server
from tests.waiting import until

BROKEN = [sys.executable, "-c", "import os; print('the disk is full', flush=True); os._exit(1)"]
# A parent and its child, which holds the port and outlives it: so does MLflow's.
LAUNCHER = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'http.server', *sys.argv[1:]])"
WORK = "import time\nwhile True: print('at work', flush=True); time.sleep(0.001)"
WAIT_SECONDS = 60


def pages_server(**changes: bool) -> Server:
    """A server of the kind the platform runs: a process that starts another, which answers on a port."""
    (port,) = free_ports(1)

    def healthy() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}", timeout=5).ok
        except requests.RequestException:
            return False

    command = [sys.executable, "-c", LAUNCHER, str(port), "--bind", "127.0.0.1"]
    return Server("pages", command, healthy, port=port, **changes)


@pytest.fixture
def config(tiny_config: PlatformConfig) -> Iterator[PlatformConfig]:
    services.logs_dir(tiny_config).mkdir(parents=True)
    yield tiny_config
    servers.stop(tiny_config)


def kill(config: PlatformConfig, name: str) -> None:
    process = processes.running(config, name)
    assert process is not None
    process.kill()
    until(lambda: processes.running(config, name) is None)


def start(config: PlatformConfig, server: Server) -> None:
    processes.spawn(config, server)
    until(server.healthy)


def test_a_killed_server_is_started_again_and_named(config: PlatformConfig) -> None:
    said: list[str] = []
    pages = pages_server()
    start(config, pages)
    watch = servers.Watch(config, [pages], say=said.append)
    watch.check()
    assert said == []
    kill(config, "pages")
    watch.check()
    process = processes.running(config, "pages")
    assert process is not None
    assert said == [f"pages died; started it again (pid {process.pid})"]
    until(pages.healthy)
    assert processes.running(config, "pages") == process  # its port was free: the dead one's child has been ended


def test_a_server_that_dies_three_times_in_a_row_stays_down_and_its_last_words_are_shown(
    config: PlatformConfig,
) -> None:
    said: list[str] = []
    broken = Server("broken", BROKEN, lambda: False)
    processes.spawn(config, broken)
    watch = servers.Watch(config, [broken], say=said.append)
    for _ in range(2):
        until(lambda: processes.running(config, "broken") is None)
        watch.check()
    until(lambda: processes.running(config, "broken") is None)
    with pytest.raises(servers.ServerError, match=r"(?s)broken died 3 times in a row; the end of .*the disk is full"):
        watch.check()
    assert len(said) == 2
    assert processes.log_path(config, "broken").read_text().count("the disk is full") == 3  # nothing said is lost


def test_deaths_of_a_server_that_recovered_in_between_are_no_row(config: PlatformConfig) -> None:
    said: list[str] = []
    pages = pages_server()
    start(config, pages)
    watch = servers.Watch(config, [pages], say=said.append, steady_s=0)
    for death in range(1, 5):
        kill(config, "pages")
        watch.check()
        assert len(said) == death
        until(pages.healthy)
        watch.check()  # it answers now


def test_deaths_of_a_server_that_answered_only_for_a_moment_are_a_row(config: PlatformConfig) -> None:
    pages = pages_server()
    start(config, pages)
    watch = servers.Watch(config, [pages], say=lambda text: None, steady_s=3600)
    for _ in range(2):
        kill(config, "pages")
        watch.check()
        until(pages.healthy)
        watch.check()
    kill(config, "pages")
    with pytest.raises(servers.ServerError, match="pages died 3 times in a row"):
        watch.check()


def test_of_several_watchers_one_starts_a_dead_server_again(config: PlatformConfig) -> None:
    said: list[str] = []
    pages = pages_server()
    start(config, pages)
    watchers = [servers.Watch(config, [pages], say=said.append) for _ in range(4)]
    kill(config, "pages")
    together = threading.Barrier(len(watchers))

    def check(watch: servers.Watch) -> None:
        together.wait()
        watch.check()

    with ThreadPoolExecutor(len(watchers)) as pool:
        list(pool.map(check, watchers))
    assert len(said) == 1
    assert len([p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == pages.command]) == 1


def test_servers_stopped_on_purpose_are_not_started_again(config: PlatformConfig) -> None:
    pages = pages_server()
    start(config, pages)
    watch = servers.Watch(config, [pages])
    servers.stop(config)
    with pytest.raises(servers.ServerError, match="pages was stopped"):
        watch.check()
    assert processes.running(config, "pages") is None


def test_work_that_goes_on_without_its_server_is_ended_by_stop_alone(config: PlatformConfig) -> None:
    scheduler = Server(
        "scheduler",
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORK!r}])"],
        lambda: True,
        children_go_on=True,
    )
    processes.spawn(config, scheduler)
    work = []
    watch = servers.Watch(config, [scheduler], say=lambda text: None, steady_s=0)
    for _ in range(2):  # it must be remembered over several deaths
        process = processes.running(config, "scheduler")
        assert process is not None
        until(process.children)
        work += process.children()
        kill(config, "scheduler")
        watch.check()
        watch.check()
    assert all(child.is_running() for child in work)
    log = processes.log_path(config, "scheduler")
    size = log.stat().st_size
    until(lambda: log.stat().st_size > 2 * size)
    assert log.read_text().count("scheduler died; started again") == 2  # what the work goes on to say hides nothing
    assert servers.stop(config) == ["scheduler"]
    assert not any(child.is_running() for child in work)


def test_stop_ends_what_a_dead_server_left(config: PlatformConfig) -> None:
    pages = pages_server()
    start(config, pages)
    kill(config, "pages")
    assert pages.healthy()  # its child answers still
    assert servers.stop(config) == []
    assert not pages.healthy()


def test_stop_ends_a_child_that_was_started_while_its_parent_was_being_stopped(config: PlatformConfig) -> None:
    root = config.storage.root
    code = (
        "import signal, subprocess, sys\n"
        f"def late(*_): subprocess.Popen([sys.executable, '-c', {WORK!r}, {root!r}]); sys.exit()\n"
        "signal.signal(signal.SIGTERM, late)\nprint('ready', flush=True)\nsignal.pause()"
    )
    processes.spawn(config, Server("starting", [sys.executable, "-c", code], lambda: True))
    log = processes.log_path(config, "starting")
    until(lambda: "ready" in log.read_text())
    assert servers.stop(config) == ["starting"]
    assert not [p for p in psutil.process_iter(["cmdline"]) if root in (p.info["cmdline"] or [])]


def test_status_tells_a_dead_server_from_one_that_was_stopped(config: PlatformConfig) -> None:
    docs = Server("docs", BROKEN, lambda: False)
    processes.spawn(config, docs)
    until(lambda: processes.running(config, "docs") is None)
    log = processes.log_path(config, "docs")
    assert servers.status(config)["docs"] == f"died; log: {log}"
    servers.stop(config)
    assert servers.status(config)["docs"] == "stopped"


def test_another_command_waits_for_the_lock_until_its_holder_ends(config: PlatformConfig) -> None:
    code = (
        "import sys\nfrom config import load_config\nfrom local import processes\n"
        "config = load_config()\n"
        "config = config.changed(storage={'root': sys.argv[1]})\n"
        "with processes.lock(config):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, config.storage.root]
    taken = threading.Event()

    def take() -> None:
        with processes.lock(config):
            taken.set()

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        other = threading.Thread(target=take)
        other.start()
        assert not taken.is_set()
        holder.kill()
    other.join(WAIT_SECONDS)
    assert taken.is_set()
