"""Starts the processes of this machine that train together, and starts all of them again when one of them dies."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec, WorkerState
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous import (
    RendezvousClosedError,
    RendezvousConnectionError,
    RendezvousHandler,
    RendezvousParameters,
    RendezvousTimeoutError,
)
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from config import FoundationTraining

LOG = logging.getLogger("headwater")
THIS_MACHINE = "127.0.0.1:0"  # a rendezvous for one machine, on a free port
LASTING = ("ConfigError", "FloatingPointError", "PartitionMissing", "ValueError")  # a restart would meet them again
RESTARTS = "foundation_model.training.restarts"


def run_in_group(arguments: Sequence[str], settings: FoundationTraining, *, name: str) -> None:
    """Runs `python -m ...` as this machine's processes of a group; a SIGTERM is passed on to them.

    torchrun's agent runs in a process of its own, as it takes signals and standard output over. Where a process dies,
    all of them are started again, up to `settings.restarts` times, and each time the log says which died of what.

    Args:
        arguments: after `python -m`.
        settings: how many processes, on how many machines, which meet where.
        name: of the run; the machines that give the same one at the same rendezvous form the group.

    Raises:
        RuntimeError: a process failed once too often, or the machines did not meet; says which, of what.
    """
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    launcher = context.Process(target=_launch, args=(tell, list(arguments), settings, name))
    before = signal.signal(signal.SIGTERM, lambda *_: launcher.terminate())
    error: str | None = None
    try:
        launcher.start()
        tell.close()
        while (message := _received(told)) is not None:
            kind, text = message
            if kind == "restart":
                LOG.warning(text)
            else:
                error = text
        launcher.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    if error is None and launcher.exitcode:
        error = f"its launcher ended with exit code {launcher.exitcode}, as told above"
    if error is not None:
        raise RuntimeError(f"{name}: {error}")


def _received(told: Connection) -> tuple[str, str] | None:
    """Returns what the launcher says next; None: it has ended."""
    try:
        message: tuple[str, str] = told.recv()
    except EOFError:
        return None
    return message


class _Agent(LocalElasticAgent):
    """torchrun's agent, which also tells why processes are started again, and does not where that would not help."""

    def __init__(self, tell: Connection, spec: WorkerSpec, logs: DefaultLogsSpecs) -> None:
        super().__init__(spec, logs)
        self._tell = tell

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        result = super()._monitor_workers(worker_group)
        if result.state is WorkerState.FAILED:
            if _message(_cause(result.failures)[1]).startswith(LASTING):
                self._remaining_restarts = 0
            if self._remaining_restarts:
                most = worker_group.spec.max_restarts
                number = most - self._remaining_restarts + 1
                told = f"{_described(result.failures)}; starting all processes again ({number} of {most} restarts)"
                self._tell.send(("restart", told))
        return result


def _launch(tell: Connection, arguments: list[str], settings: FoundationTraining, name: str) -> None:
    """Runs the processes until all have ended well, or one has failed for good."""
    os.dup2(sys.stderr.fileno(), 1)  # the last line of standard output is the result of the job that started this
    endpoint = settings.rendezvous or THIS_MACHINE
    minutes = f"foundation_model.training.rendezvous_minutes: {settings.rendezvous_minutes:g}"
    error: str | None = None
    with tempfile.TemporaryDirectory() as folder:
        try:
            address = _own_address(endpoint)
            os.environ.setdefault("OMP_NUM_THREADS", "1")
            # Else the processes of a restart find the addresses of dead ones in torchrun's own store, and may wait for
            # those forever: torch 2.13 keeps one store for all restarts, without a prefix for each.
            os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
            if address.startswith("127."):
                os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            handler = _rendezvous(endpoint, settings, address=address, name=name)
            spec = WorkerSpec(
                role="rank",
                local_world_size=settings.processes,
                entrypoint=sys.executable,
                args=("-m", *arguments),
                rdzv_handler=handler,
                max_restarts=settings.restarts,
                local_addr=address,
            )
            error = _supervised(_Agent(tell, spec, DefaultLogsSpecs(folder)), handler, settings)
        except socket.gaierror:
            error = f"foundation_model.training.rendezvous: no machine is known as {endpoint.rpartition(':')[0]}"
        except RendezvousTimeoutError:
            error = (
                f"fewer than {settings.nodes} machines met at {endpoint} ({minutes}); start the job on each of "
                "them with the same day and the same foundation_model.training"
            )
        except RendezvousConnectionError:
            error = (
                f"nothing answers at foundation_model.training.rendezvous: {endpoint} ({minutes}); it must name a "
                "machine that takes part, where the job runs and the port is open and free"
            )
        except RendezvousClosedError:
            error = "the run has ended on another machine; its log says why"
        except SignalException as stopped:
            error = f"stopped by {stopped.sigval.name}; run the job again, and it continues from its checkpoint"
    if error is not None:
        tell.send(("error", error))
    tell.close()


def _rendezvous(endpoint: str, settings: FoundationTraining, *, address: str, name: str) -> RendezvousHandler:
    """Returns where the machines meet; the one whose address it is keeps it."""
    wait_s = max(1, round(settings.rendezvous_minutes * 60))
    parameters = RendezvousParameters(
        backend="c10d",
        endpoint=endpoint,
        run_id=name,
        min_nodes=settings.nodes,
        max_nodes=settings.nodes,
        local_addr=address,
        join_timeout=wait_s,
        read_timeout=wait_s,
    )
    return get_rendezvous_handler(parameters)


def _supervised(agent: LocalElasticAgent, handler: RendezvousHandler, settings: FoundationTraining) -> str | None:
    """Runs an agent to its end; returns what its processes failed of."""
    try:
        result = agent.run()
    except SignalException:
        raise  # the others may go on once this machine is back
    except RendezvousConnectionError:
        return f"the machine of {settings.rendezvous} has ended, and with it the run; its log says why"
    except BaseException:
        handler.shutdown()
        raise
    handler.shutdown()
    if not result.is_failed():
        return None
    if _message(_cause(result.failures)[1]).startswith(LASTING):
        return _described(result.failures)
    used = f"{RESTARTS}: {settings.restarts} are used up" if settings.restarts else f"{RESTARTS}: 0"
    return f"{_described(result.failures)}; {used}. Run the job again, and it continues from its checkpoint"


def _own_address(endpoint: str) -> str:
    """Returns the address under which this machine is reached by those that reach the endpoint.

    Raises:
        socket.gaierror: the endpoint's host is not known.
    """
    host, _, port = endpoint.rpartition(":")
    family, kind, protocol, _, address = socket.getaddrinfo(host, int(port) or 1, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)  # sends nothing: it only chooses the interface
        own = str(probe.getsockname()[0])
    return host if own.startswith("127.") else own  # the endpoint is on this machine, so others know it by that name


def _cause(failures: Mapping[int, ProcessFailure]) -> tuple[int, ProcessFailure]:
    """Returns the rank of which the others died, and of what it died itself.

    Ranks that lose another fail with an error, and torchrun's agent ends those that are left by SIGTERM.
    """

    def order(item: tuple[int, ProcessFailure]) -> tuple[int, int, int]:
        rank, failure = item
        killed, ended = failure.exitcode < 0, failure.exitcode == -signal.SIGTERM
        return (2 if ended else 0 if killed else 1, failure.timestamp, rank)

    return min(failures.items(), key=order)


def _described(failures: Mapping[int, ProcessFailure]) -> str:
    rank, failure = _cause(failures)
    who = f"rank {rank} (process {failure.pid} on {socket.gethostname()})"
    if failure.exitcode < 0:
        return f"{who} was killed by {failure.signal_name()}"
    message = _message(failure)
    return f"{who} failed: {message}" if message else f"{who} failed with exit code {failure.exitcode}, as told above"


def _message(failure: ProcessFailure) -> str:
    """Returns the first line of the error a process left; empty where it left none."""
    message: Any = failure.error_file_data["message"]  # torch has it as text, or in a mapping with its traceback
    text = message if isinstance(message, str) else str(message["message"])
    left = os.path.isfile(failure.error_file)
    return text.strip().partition("\n")[0] if left and text else ""
