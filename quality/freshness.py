"""How old the foundation model's knowledge was when it scored an impression; knowledge of the impression is a leak."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

HOUR_US = 3_600_000_000


def refuse_leaks(outputs: pa.Table) -> None:
    """Checks rows of `fm_outputs`: what the FM had learnt ends at or before the impression it scored.

    Raises:
        ValueError: it had learnt later impressions; names the first such row.
    """
    leaked = outputs.filter(pc.greater(outputs["fm_learnt_until"], outputs["event_timestamp"]))  # no null passes
    if leaked.num_rows:
        row = leaked.slice(0, 1).to_pylist()[0]
        raise ValueError(
            f"{leaked.num_rows} impressions were scored by a foundation model that had learnt later ones, first "
            f"{row['impression_id']} of {row['event_timestamp']:%Y-%m-%d %H:%M:%S} by {row['fm_version']}, which had "
            f"learnt until {row['fm_learnt_until']:%Y-%m-%d %H:%M:%S}: days were run out of order, or the events "
            "changed after the snapshot was made. Run the days again, oldest first"
        )


def ages_h(outputs: pa.Table) -> npt.NDArray[np.float64]:
    """Returns the hours from the end of what the FM had learnt to each impression that it scored, (scored rows,)."""
    scored = outputs.filter(pc.is_valid(outputs["fm_learnt_until"]))
    at, until = (scored[name].cast(pa.int64()).to_numpy() for name in ("event_timestamp", "fm_learnt_until"))
    return (at - until) / HOUR_US
