"""Entities: what a feature describes."""

from feast import Entity, ValueType

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="Who sees the impression.")
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING, description="The ad or product shown.")
