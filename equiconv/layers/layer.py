"""What all layers share."""

from equiconv.groups.representation import FieldType, Representation, as_type
from equiconv.tables import Tables


class FieldLayer(Tables):
    """Know the field types that go in and come out."""

    def __init__(self, in_type: FieldType | Representation, out_type: FieldType | Representation) -> None:
        super().__init__()
        self.in_type, self.out_type = as_type(in_type), as_type(out_type)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"
