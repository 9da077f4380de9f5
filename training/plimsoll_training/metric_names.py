"""The metrics that gates may name: of which task, and in which direction each improves. Nothing is computed here."""

from typing import Literal

Task = Literal["Classification", "Regression"]

METRICS_OF: dict[Task, tuple[str, ...]] = {
    "Classification": ("accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss"),
    "Regression": ("r2", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error"),
}
LOWER_IS_BETTER = frozenset({"log_loss", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error"})
