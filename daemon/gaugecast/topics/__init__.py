"""Topics: what a subscription captures, which filters meet, and how templates turn captures into names."""

from gaugecast.topics.overlap import Glob, filters_overlap, output_globs, output_meets_filter, outputs_meet
from gaugecast.topics.path import FieldPath, filter_of, is_plain_path, parse_path, path_text
from gaugecast.topics.pattern import Pattern, check_filter, filter_matches
from gaugecast.topics.publishable import all_plain, output_topic, text_fault, topic_fault
from gaugecast.topics.template import MAX_STREAM_BYTES, Capture, Template, stream_fault

__all__ = [
    "MAX_STREAM_BYTES",
    "Capture",
    "FieldPath",
    "Glob",
    "Pattern",
    "Template",
    "all_plain",
    "check_filter",
    "filter_matches",
    "filter_of",
    "filters_overlap",
    "is_plain_path",
    "output_globs",
    "output_meets_filter",
    "output_topic",
    "outputs_meet",
    "parse_path",
    "path_text",
    "stream_fault",
    "text_fault",
    "topic_fault",
]
