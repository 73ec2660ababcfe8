"""How well alerts and scores find labelled events."""

from foreshock.engine.detection.curves import auc_pr, vus_pr
from foreshock.engine.detection.events import Events, Matches, match_events
from foreshock.engine.detection.pairs import compare_detections
from foreshock.engine.detection.report import METRICS, DetectionReport, Metric, detection_report, pooled_report

__all__ = [
    "METRICS",
    "DetectionReport",
    "Events",
    "Matches",
    "Metric",
    "auc_pr",
    "compare_detections",
    "detection_report",
    "match_events",
    "pooled_report",
    "vus_pr",
]
