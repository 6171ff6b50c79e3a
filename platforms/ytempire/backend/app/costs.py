"""What a rendered video cost, item by item."""

from decimal import Decimal

from app.models import CostItem
from app.render import Rendered
from app.settings import settings

MEGABYTE = 1_000_000


def cost_items(rendered: Rendered) -> list[CostItem]:
    """Processor time once, and a month of keeping the file."""
    prices = settings()
    return [
        item("compute", rendered.cpu_seconds, "cpu-second", prices.price_cpu_second),
        item(
            "storage", rendered.bytes / MEGABYTE, "megabyte-month", prices.price_megabyte_month
        ),
    ]


def item(kind: str, quantity: float, unit: str, unit_price: Decimal) -> CostItem:
    exact = Decimal(str(quantity)).quantize(Decimal("0.000001"))
    return CostItem(
        kind=kind,
        quantity=exact,
        unit=unit,
        unit_price_usd=unit_price,
        amount_usd=(exact * unit_price).quantize(Decimal("0.000000001")),
    )
