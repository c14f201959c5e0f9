"""Where a long run stands: model, optimizers and progress, saved every few minutes and when the run is told to stop.

Unlike a snapshot, which is the result of a day, it is the run's own and is removed when the day is done. Its tables are
written by torch.distributed.checkpoint, every rank its own shards, and are read back on any number of ranks.
"""

import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from math import lcm
from pathlib import Path
from types import FrameType

import torch.distributed as dist
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver

import storage
from training.checkpoint import load_optimizers, save_optimizers
from training.foundation.parallel import any_rank
from training.foundation.sharded_checkpoint import sharded_state
from training.foundation.trainer import FoundationTrainer, Progress

LOG = logging.getLogger("headwater")
PROGRESS_FILE = "progress.json"
AGREE_EVERY = 10  # steps between two agreements of several ranks


class StoppedBySignal(RuntimeError):
    """The run was told to stop; what it had learnt is saved."""


class RunCheckpoint:
    """The checkpoint of one run; use it as a context manager, so that a SIGTERM saves before the run ends.

    Args:
        folder: of the checkpoint.
        key: of all that the run depends on; a checkpoint with another key is of another run, and ignored.
        every_s: seconds between two checkpoints.
    """

    def __init__(self, folder: Path, *, key: str, every_s: float) -> None:
        self.folder, self.key, self.every_s = folder, key, every_s
        self._saved_at = time.monotonic()
        self._stop = False

    def __enter__(self) -> "RunCheckpoint":
        """Takes SIGTERM over."""
        self._before = signal.signal(signal.SIGTERM, self._on_sigterm)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives SIGTERM back."""
        signal.signal(signal.SIGTERM, self._before)

    def restore(self, trainer: FoundationTrainer) -> Progress | None:
        """Loads the checkpoint into the trainer; None where there is none of this run.

        Raises:
            ValueError: it does not fit the model.
        """
        saved = self.folder / PROGRESS_FILE
        if not saved.is_file():
            return None
        content = json.loads(saved.read_text())
        if content["key"] != self.key:
            LOG.info("the checkpoint %s is of a run on other data or settings; starting anew", self.folder)
            return None
        state_dict_loader.load(sharded_state(trainer.model), checkpoint_id=self.folder / "tables")
        load_optimizers(self.folder, {"dense": trainer.optimizer})
        # Sums continue on rank 0, however many ranks there are now.
        leads = dist.get_rank() == 0
        progress = Progress(**content["ranks"][0])
        progress.loss = sum(rank["loss"] for rank in content["ranks"]) if leads else 0.0
        progress.examples = sum(rank["examples"] for rank in content["ranks"]) if leads else 0
        LOG.info("continuing from the checkpoint of phase %d, step %d", progress.phase, progress.phase_step)
        return progress

    def after_step(self, trainer: FoundationTrainer, progress: Progress) -> None:
        """Saves if it is time, or if the run was told to stop.

        Raises:
            StoppedBySignal: it was, and is saved.
        """
        every = trainer.whole_steps if dist.get_world_size() == 1 else lcm(trainer.whole_steps, AGREE_EVERY)
        if progress.total_steps % every:
            return
        stop = any_rank(self._stop, trainer.device)
        if stop or any_rank(time.monotonic() - self._saved_at >= self.every_s, trainer.device):
            self.save(trainer, progress)
        if stop:
            raise StoppedBySignal(
                f"stopped by SIGTERM after step {progress.phase_step} of phase {progress.phase + 1}; "
                "run the job again, and it continues from there"
            )

    def save(self, trainer: FoundationTrainer, progress: Progress) -> None:
        """Replaces the checkpoint."""
        ranks: list[dict | None] = [None] * dist.get_world_size()
        dist.all_gather_object(ranks, asdict(progress))
        with on_every_rank(
            storage.replace_folder(self.folder, staging_root=self.folder.parent, name=f".{self.folder.name}")
        ) as folder:
            state_dict_saver.save(sharded_state(trainer.model), checkpoint_id=folder / "tables")
            if dist.get_rank() == 0:
                save_optimizers(folder, {"dense": trainer.optimizer})
                (folder / PROGRESS_FILE).write_text(json.dumps({"key": self.key, "ranks": ranks}))
        self._saved_at = time.monotonic()
        LOG.info("checkpoint at phase %d, step %d", progress.phase, progress.phase_step)

    def clear(self) -> None:
        """Removes the checkpoint: the run is done."""
        if dist.get_rank() == 0:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._stop = True


@contextmanager
def on_every_rank(opened_by_rank_0: AbstractContextManager[Path]) -> Iterator[Path]:
    """Yields a folder that rank 0 opens and every rank writes into; it is closed when all ranks are done."""
    if dist.get_rank():
        shared: list[str | None] = [None]
        dist.broadcast_object_list(shared)
        yield Path(str(shared[0]))
        dist.barrier()
    else:
        with opened_by_rank_0 as folder:
            dist.broadcast_object_list([os.fspath(folder)])
            yield folder
            dist.barrier()
    dist.barrier()  # closed
