"""The load to calculate for, what hardware costs, and what follows of a measured line: pure arithmetic.

Everything in `Target` is an assumption, not a measurement and no quotation: change it, and run the study with
`--report` again.
"""

from dataclasses import dataclass
from math import ceil

DAYS_OF_A_MONTH = 30
SECONDS_OF_AN_HOUR = 3600
SECONDS_OF_A_DAY = 86_400


@dataclass(frozen=True)
class Target:
    """A load, and the hardware it is carried on."""

    users: float = 1e9
    ads: float = 1e8
    impressions: float = 1e11  # a day
    parameters: float = 1e12  # of the FM's tables
    history_days: int = 30  # that a day's features and histories reach back to
    history_length: int = 50  # newest events that features keep of a user, full for every user
    served_history_length: int = 20  # newest codes that Feast serves of a user, full for every user
    impressions_a_request: float = 10.0
    peak_over_mean: float = 3.0  # requests a second at the busiest hour, over the day's mean
    hours_a_step: float = 2.0  # that a step may take
    cores_a_machine: int = 64
    memory_tb_a_machine: float = 0.512
    kept_days: int = 30  # of every table
    core_hour_usd: float = 0.04
    gpu_hour_usd: float = 2.5
    tb_month_usd: float = 20.0  # of files

    @property
    def machine_hour_usd(self) -> float:
        """Returns the price of a machine, its memory included."""
        return self.cores_a_machine * self.core_hour_usd


@dataclass(frozen=True)
class Work:
    """Processor work of a day, if it were spread over machines without loss."""

    core_hours: float
    machines: int
    usd: float


@dataclass(frozen=True)
class Kept:
    """Bytes of a day's tables."""

    tb_a_day: float
    usd: float  # a day, for all the days that are kept


def work(core_seconds: float, target: Target) -> Work:
    """Computes the machines that end a step within the hours it may take, and the money for its core-hours."""
    core_hours = core_seconds / SECONDS_OF_AN_HOUR
    machines = ceil(core_hours / (target.hours_a_step * target.cores_a_machine))
    return Work(core_hours, machines, core_hours * target.core_hour_usd)


def kept(bytes_a_day: float, target: Target) -> Kept:
    """Computes what it costs a day to keep what each of the last `kept_days` wrote."""
    tb = bytes_a_day / 1e12
    return Kept(tb, tb * target.kept_days * target.tb_month_usd / DAYS_OF_A_MONTH)


def in_memory(all_bytes: float, target: Target) -> Work:
    """Computes the machines that hold so many bytes in memory, all day."""
    machines = ceil(all_bytes / 1e12 / target.memory_tb_a_machine)
    core_hours = machines * 24 * target.cores_a_machine
    return Work(core_hours, machines, machines * 24 * target.machine_hour_usd)


def serving(core_seconds_a_request: float, target: Target) -> Work:
    """Computes the machines that answer the busiest hour, all day."""
    rate = target.impressions / target.impressions_a_request / SECONDS_OF_A_DAY * target.peak_over_mean
    machines = ceil(rate * core_seconds_a_request / target.cores_a_machine)
    return Work(machines * 24 * target.cores_a_machine, machines, machines * 24 * target.machine_hour_usd)


@dataclass(frozen=True)
class Gpus:
    """A day's impressions through so many GPUs."""

    examples_per_s: float
    hours: float
    usd: float


def gpus(count: int, *, step_ms: float, batch_of_a_gpu: int, target: Target) -> Gpus:
    """Computes the hours and the money of one pass over a day's impressions."""
    speed = count * batch_of_a_gpu * 1000 / step_ms
    hours = target.impressions / speed / SECONDS_OF_AN_HOUR
    return Gpus(speed, hours, hours * count * target.gpu_hour_usd)
