import pytest

from core.constraints import (
    FrozenNamesConstraint,
    LongOnlyConstraint,
    MaxBucketWeightConstraint,
    MinBucketWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    WeightConstraint,
)
from core.constraints.known import require_known
from core.errors import ConfigurationError

BUCKETS, SYMBOLS = {"Energy", "Utilities"}, {"AAA", "BBB"}


@pytest.mark.parametrize("kind", [MaxBucketWeightConstraint, MinBucketWeightConstraint])
def test_a_bucket_that_no_asset_has_is_a_typing_error(kind: type[WeightConstraint]) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        require_known([LongOnlyConstraint(), kind({"Utilites": 0.2})], SYMBOLS, BUCKETS)  # type: ignore[call-arg, arg-type]
    assert str(refusal.value) == (
        f"bucket 'Utilites' of {kind.kind} is in no asset; known: Energy, Utilities. Did you mean 'Utilities'?"
    )


@pytest.mark.parametrize("constraint", [NameLimitsConstraint({"CCC": NameLimit(0.1)}), FrozenNamesConstraint(("CCC",))])
def test_a_symbol_that_is_no_asset_is_a_typing_error(constraint: WeightConstraint) -> None:
    with pytest.raises(ConfigurationError, match=f"symbol 'CCC' of {constraint.kind} is no asset"):
        require_known([constraint], SYMBOLS, BUCKETS)


def test_names_that_assets_have_are_silent() -> None:
    listed = [
        MaxBucketWeightConstraint({"Energy": 0.2}),
        MinBucketWeightConstraint(0.1),
        FrozenNamesConstraint(("AAA",)),
    ]
    require_known(listed, SYMBOLS, BUCKETS)
