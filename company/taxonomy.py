"""How features are sorted, by the side of a customer and the reason for leaving; offers, and the names of channels."""

from collections.abc import Mapping
from typing import Literal, get_args

Family = Literal["satisfaction", "service", "purchase", "lifecycle", "retention", "value", "market"]
Reason = Literal[
    "inactivity",
    "spend_fall",
    "service",
    "price",
    "product",
    "engagement",
    "rival",
    "payment",
    "contract",
    "lifecycle",
    "other",
]
Offer = Literal[
    "coupon", "discount", "points", "gift", "privilege", "upgrade", "trial", "yield_bonus", "agent", "message"
]
FAMILIES: tuple[Family, ...] = get_args(Family)
REASONS: tuple[Reason, ...] = get_args(Reason)
CAUSES: tuple[Reason, ...] = ("payment", "price", "product", "rival", "service")  # reasons that a company can answer
NO_REASON: Reason = "other"  # of a customer at risk for whom no fact holds
CHANNEL_NAMES: Mapping[str, Mapping[str, str]] = {
    "email": {"en": "e-mail", "zh": "邮件"},
    "push": {"en": "push", "zh": "推送"},
    "sms": {"en": "text message", "zh": "短信"},
    "in_app": {"en": "in the app", "zh": "应用内"},
    "mail": {"en": "letter", "zh": "信函"},
    "phone": {"en": "phone", "zh": "电话"},
    "agent": {"en": "personal agent", "zh": "专属客服"},
}  # a company's own channel goes by the name that it gives it
INDICATOR_NAMES: Mapping[str, Mapping[str, str]] = {
    "orders": {"en": "orders", "zh": "订单"},
    "visits": {"en": "visits", "zh": "访问"},
    "logins": {"en": "logins", "zh": "登录"},
    "feature_uses": {"en": "feature use", "zh": "功能使用"},
    "call_minutes": {"en": "call minutes", "zh": "通话分钟"},
    "data_gb": {"en": "GB of data", "zh": "流量GB"},
    "api_calls": {"en": "API calls", "zh": "接口调用"},
    "seats_active": {"en": "active seats", "zh": "活跃席位"},
    "trades": {"en": "trades", "zh": "交易"},
}  # a company's own metric goes by the name that it gives it
