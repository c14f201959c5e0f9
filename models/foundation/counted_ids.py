"""Which ids came since rows were last assigned: all of them, however many a step brings."""

import torch
from torch import Tensor
from torchrec.modules.mc_modules import MCHManagedCollisionModule
from torchrec.sparse.jagged_tensor import JaggedTensor


class CountedIds(MCHManagedCollisionModule):
    """Hands a table's rows out to the ids it counted.

    torchrec's own has room for what the first batch would fill in an interval, and a quarter more. Later ids are not
    counted, so who gets a row would depend on how long histories were when the process began, and on how many processes
    share the ids. Here the room grows.
    """

    _history_accumulator: Tensor

    def profile(self, features: dict[str, JaggedTensor]) -> dict[str, JaggedTensor]:
        """Counts a batch's ids in training, and hands rows out at an interval's end."""
        if self.training:
            if self._input_history_buffer_size == -1:
                self._init_history_buffers(features)
            ids = sum(feature.values().numel() for feature in features.values())
            missing = self._current_history_buffer_offset + ids - self._input_history_buffer_size
            if missing > 0:
                self._grow(max(missing, self._input_history_buffer_size))
        return super().profile(features)

    def _grow(self, more: int) -> None:
        self._history_accumulator = torch.cat([self._history_accumulator, self._history_accumulator.new_zeros(more)])
        for name, values in self._history_metadata.items():
            self._history_metadata[name] = torch.cat([values, values.new_zeros(more)])
            setattr(self, f"_history_{name}", self._history_metadata[name])
        self._input_history_buffer_size += more
