"""Loopback ports: which are free, and who holds one."""

import socket
import sys

import psutil


def free_ports(count: int) -> list[int]:
    """Returns ports nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for probe in sockets:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in sockets]
    for probe in sockets:
        probe.close()
    return ports


def is_free(port: int) -> bool:
    """Says whether nobody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Returns ` (NAME, pid N)` of the program that listens on a port, where the system tells."""
    if sys.platform == "darwin":
        return ""  # only root may ask
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return f" ({psutil.Process(connection.pid).name()}, pid {connection.pid})"
    return ""
