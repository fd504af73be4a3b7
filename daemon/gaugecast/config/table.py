"""What all tables of the configuration have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from gaugecast.config.walk import kinds_of, table_of


class Table(BaseModel):
    """Base of all tables: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_values(cls, value: Any, key: ValidationInfo) -> Any:
        """`period = true` would be taken for one second, as Python takes it for 1."""
        field = cls.model_fields[str(key.field_name)]
        kinds = kinds_of(field)
        if isinstance(value, bool) and bool not in kinds and table_of(field) is None:
            raise ValueError("a number" if int in kinds or float in kinds else "another value, no truth value")
        return value
