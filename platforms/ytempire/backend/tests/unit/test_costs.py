from decimal import Decimal

from app.costs import cost_items
from app.render import Rendered


def test_a_video_costs_its_processor_time_and_a_month_of_storage():
    compute, storage = cost_items(Rendered(bytes=2_000_000, wall_seconds=9, cpu_seconds=10))
    assert (compute.kind, compute.quantity, compute.unit) == ("compute", 10, "cpu-second")
    assert compute.amount_usd == Decimal("0.00014")
    assert (storage.kind, storage.quantity, storage.unit) == ("storage", 2, "megabyte-month")
    assert storage.amount_usd == Decimal("0.00004")
