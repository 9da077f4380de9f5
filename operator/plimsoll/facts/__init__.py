"""The frozen values that the pure core and the effectful edge both speak."""

from plimsoll.facts.evidence import ArmCounts, Cohort, Demand, Differences, Labels, OutputBins, Pairs, Verdict, Window
from plimsoll.facts.objects import Manifest, Ref, Settings
from plimsoll.facts.plans import Action, AnnotatePod, Apply, Create, Delete, Notice, Plan, PutObject, Scale, WriteKey
from plimsoll.facts.samples import (
    Endpoint,
    External,
    Features,
    ModelState,
    PodCounters,
    PodInputs,
    PrometheusSource,
    Reading,
    Sample,
)

__all__ = [
    "Action",
    "AnnotatePod",
    "Apply",
    "ArmCounts",
    "Cohort",
    "Create",
    "Delete",
    "Demand",
    "Differences",
    "Endpoint",
    "External",
    "Features",
    "Labels",
    "Manifest",
    "ModelState",
    "Notice",
    "OutputBins",
    "Pairs",
    "Plan",
    "PodCounters",
    "PodInputs",
    "PrometheusSource",
    "PutObject",
    "Reading",
    "Ref",
    "Sample",
    "Scale",
    "Settings",
    "Verdict",
    "Window",
    "WriteKey",
]
