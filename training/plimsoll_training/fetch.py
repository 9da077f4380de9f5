"""`fetch`: hand the trainer the training rows, and never a row of evaluation."""

from plimsoll_training.columns import drop_split_column, require_target
from plimsoll_training.data import read_dataset, to_csv
from plimsoll_training.environment import Places
from plimsoll_training.run import TrainingRun, read_run
from plimsoll_training.splits import evaluation_rows
from plimsoll_training.steps import step


def fetch(where: Places) -> None:
    """Write `training.csv` and `run.json` for the trainer. UserError, StoreError."""
    run = read_run(where.run, TrainingRun)
    with step(f"read {run.data.training.uri}") as reading:
        dataset = read_dataset(run.data.training, "data.training")
        reading.done = f"read {len(dataset.frame)} rows of {dataset.uri} (sha256:{dataset.sha256[:12]})"
    frame = dataset.frame
    require_target(frame, run.target)
    if run.data.split is not None:
        frame = frame[~evaluation_rows(frame, run.data.split)]
    frame = drop_split_column(frame, run.data.split, run.target)
    require_target(frame, run.target)
    with step(f"wrote {len(frame)} training rows to {where.training_csv}"):
        where.training_csv.write_bytes(to_csv(frame))
        where.handed_run.write_bytes(where.run.read_bytes())
