"""The shape of what ledgers hold, written down for each schema version: a change that old files would feel is seen.

`python -m tests.ledger_shapes` writes the shape of this version down.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from engine.core.state import State
from engine.ledger import schema
from engine.model.event import EVENT_VERSION, AnyBody

FOLDER = Path(__file__).parent / "fixtures" / "ledgers"
PATH = FOLDER / f"schema-{schema.SCHEMA_VERSION}.shape.json"

Shape = dict[str, Any]


def shape_now() -> Shape:
    """Every struct that is recorded or snapshotted, field by field in order, and the tables."""
    structs: dict[str, list[str]] = {}
    _walk(msgspec.inspect.type_info(State), structs)
    _walk(msgspec.inspect.type_info(AnyBody), structs)
    tables = (schema.META, *schema.EVENTS, schema.SNAPSHOTS, *schema.PROJECTIONS.values(), *schema.INDEXES)
    return {
        "events": EVENT_VERSION,
        "structs": dict(sorted(structs.items())),
        "tables": [" ".join(statement.split()) for statement in tables],
    }


def _walk(info: msgspec.inspect.Type, structs: dict[str, list[str]]) -> str:
    """The type in words; what it is made of goes into `structs`."""
    match info:
        case msgspec.inspect.StructType(cls=cls, fields=fields, tag=tag):
            if cls.__name__ not in structs:
                lines = structs[cls.__name__] = [f"tag={tag} omit_defaults={cls.__struct_config__.omit_defaults}"]
                lines += [f"{field.encode_name}: {_walk(field.type, structs)}{_default(field)}" for field in fields]
            return cls.__name__
        case msgspec.inspect.UnionType(types=types):
            return " | ".join([_walk(each, structs) for each in types])
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            return f"dict[{_walk(key, structs)}, {_walk(value, structs)}]"
        case msgspec.inspect.ListType(item_type=item) | msgspec.inspect.VarTupleType(item_type=item):
            return f"list[{_walk(item, structs)}]"
        case msgspec.inspect.TupleType(item_types=items):
            return f"tuple[{', '.join([_walk(each, structs) for each in items])}]"
        case msgspec.inspect.EnumType(cls=cls):
            return f"{cls.__name__}({', '.join(repr(member.value) for member in cls)})"
        case _:
            return type(info).__name__.removesuffix("Type")


def _default(field: msgspec.inspect.Field) -> str:
    if field.default is not msgspec.NODEFAULT:
        return f" = {field.default!r}"
    return "" if field.required else " = made"


if __name__ == "__main__":
    PATH.write_text(json.dumps(shape_now(), indent=1) + "\n")
    print(f"{PATH.name} is written")
