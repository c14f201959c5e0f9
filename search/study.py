"""A search and its trials, kept as files: who asks what next, who trains it, and what is known.

Every trial is one file, replaced whole. What is asked depends on the files alone, so a search that was killed goes on
with the same questions and answers; a trial whose worker died is taken up again under its own number.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import Field

import storage
from config import Name, PlatformConfig, Section
from search.choices import Value
from search.samplers.random import random_search
from search.space import Space
from search.trial import FALLBACK, Ask, Question, Sampler, Status, Trial

SETTINGS_FILE, REFUSED_FILE = "study.json", "refused.jsonl"
SHARED_FOLDER = "shared_weights"  # of a search's folder; see search/shared_weights.py
MOST_ATTEMPTS = 2  # of one trial: a model that kills its worker twice has failed
FOUNDATION = "foundation"  # as a target; every other target is a vertical

INHERITS_OTHERS = (
    "since the search {0} began, platform.yaml has changed in what its trials take from it beside their choices, so "
    "new trials could not be compared with the others; set it back, or begin another search with from_study={0}"
)


class StudySettings(Section):
    """What a search is; another one may not bear its name."""

    source: str
    target: str = FOUNDATION  # or a vertical
    sampler: str
    screener: str = "none"  # that chooses among the sampler's answers
    from_study: str | None = None  # the search whose trials this one begins with; None: with nothing
    seed: int = 0
    blocks: int = Field(default=3, ge=1, le=6)  # most blocks of a model
    cost_cap: float | None = Field(default=None, gt=0)  # most FLOPs of an example; None: any
    days: list[date] = Field(min_length=1)  # platform days that trials learn, oldest first
    judged_days: int = Field(ge=1)  # the newest dates of them, on which trials are judged
    later_days: list[date] = Field(min_length=1)  # platform days after them, for the judgement at the end
    inherited: str = ""  # of what trials take from platform.yaml beside their choices, a hash


class Budget(Section):
    """When a search ends: at the first of these."""

    trials: int = Field(default=30, ge=1)
    seconds: float | None = Field(default=None, gt=0)  # of training, all trials together
    flops: float | None = Field(default=None, gt=0)  # of training, all trials together: 3 forward passes an example


@dataclass(frozen=True)
class Record:
    """A trial with all that is kept of it."""

    trial: Trial
    key: str  # of its params
    asked_at: float  # seconds since 1970
    attempts: int = 0  # 0: no worker has begun it
    worker: str = ""  # host and process that trains it
    lease_until: float = 0.0  # seconds since 1970; a worker of another host is given up then
    rows: int = 0  # examples learnt
    error: str = ""
    run_id: str = ""  # in MLflow
    figures: dict[str, float] | None = None


def trained_flops(records: Sequence[Record]) -> float:
    """Counts the FLOPs of the ended trials' training: forward and backward are three times the forward pass.

    One that broke off counts as if it had learnt all that the others did: how far it came is not known.
    """
    most = max((record.rows for record in records), default=0)
    ended = [record for record in records if record.trial.status != "running"]
    return sum(3 * (record.rows or most) * (record.trial.cost or 0.0) for record in ended)


class StudyDiffers(ValueError):
    """The name belongs to a search that is something else."""


@dataclass(frozen=True)
class Study:
    """A search in its folder."""

    folder: Path
    settings: StudySettings
    budget: Budget
    space: Space

    @classmethod
    def open(
        cls,
        config: PlatformConfig,
        name: Name,
        settings: StudySettings,
        budget: Budget,
        space: Callable[[StudySettings], Space],
    ) -> "Study":
        """Makes a search, or goes on with the one of that name; its budget becomes the given one.

        Raises:
            StudyDiffers: there is one of that name, and it is another search.
            ValueError: the space holds nothing that may be tried.
        """
        folder = storage.study_dir(config, name)
        made = cls(folder, settings, budget, space(settings))
        if (folder / SETTINGS_FILE).exists():
            there = _settings(folder)[0]
            if changed := [key for key in StudySettings.model_fields if getattr(there, key) != getattr(settings, key)]:
                if changed == ["inherited"]:
                    raise StudyDiffers(INHERITS_OTHERS.format(name))
                told = ", ".join(f"{key} {_told(getattr(there, key))}" for key in changed if key != "inherited")
                raise StudyDiffers(f"the search {name} is another one ({told}): choose another name, or say the same")
        content = {"settings": settings.model_dump(mode="json"), "budget": budget.model_dump(mode="json")}
        with storage.replace_file(folder / SETTINGS_FILE) as path:
            path.write_text(json.dumps(content, indent=1))
        (folder / "trials").mkdir(exist_ok=True)
        return made

    @classmethod
    def load(cls, config: PlatformConfig, name: Name, space: Callable[[StudySettings], Space]) -> "Study":
        """Reads a search.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        folder = storage.study_dir(config, name)
        if not (folder / SETTINGS_FILE).exists():
            raise FileNotFoundError(f"no search is named {name}; python -m jobs list_studies names those there are")
        settings, budget = _settings(folder)
        return cls(folder, settings, budget, space(settings))

    @property
    def name(self) -> str:
        """Returns the search's name."""
        return self.folder.name

    def records(self) -> list[Record]:
        """Returns all trials in the order in which they were asked."""
        return records_in(self.folder)

    @property
    def shared_flops(self) -> float:
        """Returns what learning weights that all models share has taken, where a search does that."""
        parts = sorted((self.folder / SHARED_FOLDER).glob("*.json"))
        return float(sum(json.loads(path.read_text())["compute"] for path in parts))

    def spent(self) -> bool:
        """Says whether the budget allows no new trial."""
        records = self.records()
        return self._over(records) or len(records) >= self.budget.trials

    def claim(
        self,
        sampler: Sampler,
        *,
        lease_s: float,
        at_once: int = 1,
        context: Mapping[str, Value] | None = None,
    ) -> Record | None:
        """Gives this process a trial to train: one whose worker died, else what the sampler asks next.

        Args:
            sampler: of the search.
            lease_s: seconds after which a worker of another host is taken for dead.
            at_once: how many trials the sampler is asked for, where none is waiting.
            context: what else the sampler may know.

        Returns:
            None where the budget is spent, or nothing is left that has not been tried.
        """
        with self._alone():
            for record in self.records():
                if record.trial.status == "running" and record.attempts and _is_dead(record):
                    if record.attempts < MOST_ATTEMPTS:
                        return self._lend(record, lease_s)
                    self.end(record, "failed", error=f"its worker died in each of {record.attempts} attempts")
            records = self.records()
            if self._over(records):
                return None
            waiting = [record for record in records if record.trial.status == "running" and not record.attempts]
            waiting = waiting or self._ask(sampler, records, at_once, context or {})
            return self._lend(waiting[0], lease_s) if waiting else None

    def give_back(self, record: Record) -> None:
        """Lets another worker take up a trial that this one was stopped in, as if it had not begun it."""
        with self._alone():
            now = next(one for one in self.records() if one.trial.number == record.trial.number)
            if now.trial.status == "running":
                self._write(replace(now, attempts=now.attempts - 1, worker="", lease_until=0.0))

    def end(
        self,
        record: Record,
        status: Status,
        *,
        objective: float | None = None,
        seconds: float | None = None,
        curve: tuple[float, ...] = (),
        **kept: Any,
    ) -> Record:
        """Records how a trial ended.

        Args:
            record: of `claim`.
            status: how.
            objective: NE on the judged dates.
            seconds: of training.
            curve: NE of each date while it was learnt.
            **kept: further fields of Record.
        """
        trial = replace(record.trial, status=status, objective=objective, seconds=seconds, curve=curve)
        return self._write(replace(record, trial=trial, **kept))

    def _ask(self, sampler: Sampler, records: list[Record], at_once: int, context: Mapping[str, Value]) -> list[Record]:
        """Asks the sampler, and keeps what it answers as trials that wait for a worker."""
        remaining = self.budget.trials - len(records)
        if remaining < 1:
            return []
        history, count = [record.trial for record in records], min(at_once, remaining)
        seed = self.settings.seed
        question = Question(self.space, history, count=count, remaining=remaining, seed=seed, context=context)
        answers = sampler(question)
        asks = self._allowed(answers, records)
        if len(asks) < len(answers):  # what takes the place of the refused is drawn at random, and said to be
            known = {self.space.key(ask.params) for ask in asks}
            drawn = [ask for ask in random_search(question) if self.space.key(ask.params) not in known]
            asks += [Ask(ask.params, ask.tags | {FALLBACK}) for ask in drawn[: len(answers) - len(asks)]]
        waiting = []
        for number, ask in enumerate(asks, start=len(records)):
            cost = self.space.cost(ask.params)
            trial = Trial(number, dict(ask.params), "running", None, cost, None, tags=ask.tags)
            waiting.append(Record(trial, self.space.key(ask.params), asked_at=time.time()))
        return [self._write(record) for record in waiting]

    def refused(self) -> list[dict[str, Any]]:
        """Returns what samplers asked in vain: params, reason, and before which trial."""
        path = self.folder / REFUSED_FILE
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _allowed(self, asks: list[Ask], records: list[Record]) -> list[Ask]:
        """Returns the asks that may be tried and were not; keeps the others as refused."""
        tried, allowed = {record.key for record in records}, []
        for ask in asks:
            key = self.space.key(ask.params)
            reason = "it was tried" if key in tried else self.space.refusal(ask.params)
            tried.add(key)
            if reason is None:
                allowed.append(ask)
                continue
            refused = {"before_trial": len(records), "params": ask.params, "reason": reason}
            with (self.folder / REFUSED_FILE).open("a") as file:
                file.write(json.dumps(refused) + "\n")
        return allowed

    def _over(self, records: list[Record]) -> bool:
        """Says whether the search has trained as long as it may."""
        seconds = sum(record.trial.seconds or 0.0 for record in records)
        flops = trained_flops(records) + self.shared_flops
        return (self.budget.seconds is not None and seconds >= self.budget.seconds) or (
            self.budget.flops is not None and flops >= self.budget.flops
        )

    def _lend(self, record: Record, lease_s: float) -> Record:
        lease_until = time.time() + lease_s
        lent = replace(record, attempts=record.attempts + 1, worker=_this_process(), lease_until=lease_until)
        return self._write(lent)

    def _write(self, record: Record) -> Record:
        content = vars(record) | {"trial": vars(record.trial) | {"tags": sorted(record.trial.tags)}}
        with storage.replace_file(self.folder / "trials" / f"{record.trial.number:05d}.json") as path:
            path.write_text(json.dumps(storage.finite(content), indent=1))
        return record

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with FileLock(self.folder / ".lock"):
            yield


def begun(config: PlatformConfig, name: str) -> StudySettings | None:
    """Returns what the search of a name is; None where there is none."""
    folder = storage.study_dir(config, name) if name else None
    return _settings(folder)[0] if folder is not None and (folder / SETTINGS_FILE).exists() else None


def records_in(folder: Path) -> list[Record]:
    """Returns all trials of the search in a folder in the order in which they were asked."""
    return [_record(json.loads(path.read_text())) for path in sorted((folder / "trials").glob("*.json"))]


def study_names(config: PlatformConfig) -> list[str]:
    """Returns the names of all searches of the chosen source, the newest last."""
    files = sorted(storage.studies_dir(config).glob(f"*/{SETTINGS_FILE}"), key=lambda path: path.stat().st_mtime)
    return [path.parent.name for path in files]


def best(records: list[Record], count: int = 1) -> list[Record]:
    """Returns the finished trials with the lowest objective."""
    done = [record for record in records if record.trial.status == "done" and record.trial.objective is not None]
    return sorted(done, key=lambda record: (record.trial.objective or 0.0, record.trial.number))[:count]


def _settings(folder: Path) -> tuple[StudySettings, Budget]:
    content = json.loads((folder / SETTINGS_FILE).read_text())
    return StudySettings.model_validate(content["settings"]), Budget.model_validate(content["budget"])


def _record(content: dict[str, Any]) -> Record:
    of_trial: dict[str, Any] = content.pop("trial")
    params: dict[str, Value] = of_trial.pop("params")
    tags, curve = frozenset(of_trial.pop("tags")), tuple(of_trial.pop("curve"))
    return Record(Trial(params=params, tags=tags, curve=curve, **of_trial), **content)


def _is_dead(record: Record) -> bool:
    host, _, process = record.worker.rpartition(" ")
    if host != socket.gethostname():
        return time.time() > record.lease_until
    if process == str(os.getpid()):
        return True  # this process has come back for another trial, so it does not train that one
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return time.time() > record.lease_until


def _this_process() -> str:
    return f"{socket.gethostname()} {os.getpid()}"


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else repr(value)
