"""One suite per table: SUITES[table](config, schema)."""

from collections.abc import Callable

from config import PlatformConfig
from data.schema import Schema
from quality.suite import Suite
from quality.suites import events, examples, item_activity, user_activity

SUITES: dict[str, Callable[[PlatformConfig, Schema], Suite]] = {
    "events": events.suite,
    "examples": examples.suite,
    "user_activity": user_activity.suite,
    "item_activity": item_activity.suite,
}
