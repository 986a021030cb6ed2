import pytest

from core.decisions.bucket_manager import DEVELOPMENT_BUCKETS, BucketManager
from core.errors import InputError
from core.models import BucketAllocation
from tests.core.decisions.build import asset

BUCKETS = {"Technology": ["AAPL", "MSFT"], "Energy": ["XOM"]}


def manager():
    return BucketManager(BUCKETS)


def test_bucket_manager_basic():
    assert manager().get_asset_bucket("AAPL") == "Technology"
    assert manager().get_asset_bucket("GOLD") == "Unknown"
    assert manager().get_bucket_assets("Technology") == ["AAPL", "MSFT"]
    assert manager().get_bucket_assets("Nowhere") == []
    assert manager().get_all_buckets() == ["Technology", "Energy"]


def test_asset_grouping():
    grouped = manager().group_assets_by_bucket(
        [asset("XOM", 0.5), asset("MSFT", 0.9), asset("AAPL", 0.9), asset("GOLD", None)]
    )
    assert {bucket: [member.asset for member in members] for bucket, members in grouped.items()} == {
        "Technology": ["AAPL", "MSFT"],
        "Energy": ["XOM"],
        "Unknown": ["GOLD"],
    }


def test_assets_without_a_score_come_last_in_their_group():
    grouped = manager().group_assets_by_bucket([asset("AAPL", float("nan")), asset("MSFT", 0.0)])
    assert [member.asset for member in grouped["Technology"]] == ["MSFT", "AAPL"]


def test_bucket_statistics():
    statistics = manager().calculate_bucket_statistics(
        [asset("AAPL", 0.75, weight=0.1), asset("MSFT", 0.25, weight=-0.2), asset("XOM", None)]
    )
    technology, energy = statistics["Technology"], statistics["Energy"]
    assert (technology.bucket_name, technology.asset_count, technology.assets) == ("Technology", 2, ("AAPL", "MSFT"))
    assert technology.total_allocation == pytest.approx(0.3)
    assert (technology.avg_score, technology.max_score, technology.min_score) == (0.5, 0.75, 0.25)
    assert (energy.total_allocation, energy.avg_score, energy.max_score, energy.min_score) == (0.0, 0.0, 0.0, 0.0)


def test_bucket_allocation_status():
    status = manager().get_bucket_allocation_status([asset("AAPL", weight=0.1)], 3, 0.35)
    assert status == {
        "Technology": BucketAllocation(3, 0.35, current_positions=1, current_weight=0.1),
        "Energy": BucketAllocation(3, 0.35),
    }


def test_constraint_validation():
    judged = manager().validate_bucket_constraints(
        [asset("AAPL", weight=0.3), asset("MSFT", weight=0.2)],
        max_positions_per_bucket=1,
        max_allocation_per_bucket=0.4,
        min_buckets_represented=2,
    )
    assert not judged["is_valid"]
    assert judged["violations"] == [
        "bucket Technology has 2 positions, limit 1",
        "bucket Technology has 50.00% allocated, limit 40.00%",
        "1 of at least 2 buckets are represented",
    ]
    assert judged["recommendations"] == [
        "remove 1 of the lowest-scored positions of Technology",
        "scale the positions of Technology by 0.8000",
        "add positions of 1 more bucket",
    ]
    assert judged["buckets_represented"] == 1
    assert judged["bucket_statistics"]["Technology"].asset_count == 2


def test_a_list_within_all_limits_is_valid():
    judged = manager().validate_bucket_constraints([asset("AAPL", weight=0.4), asset("XOM", weight=0.4)])
    assert judged["is_valid"]
    assert judged["violations"] == judged["recommendations"] == []


def test_a_name_below_the_least_weight_does_not_represent_its_bucket():
    judged = manager().validate_bucket_constraints([asset("AAPL", weight=0.4), asset("XOM", weight=0.0009)])
    assert judged["buckets_represented"] == 1


def test_unknown_is_never_represented():
    assert manager().validate_bucket_constraints([asset("GOLD", weight=0.4)])["buckets_represented"] == 0


def test_edge_cases():
    assert manager().group_assets_by_bucket([]) == {}
    assert manager().calculate_bucket_statistics([]) == {}
    assert BucketManager({}).get_all_buckets() == []
    assert BucketManager({"Empty": []}).get_bucket_allocation_status([]) == {"Empty": BucketAllocation()}


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        ([asset("AAPL"), asset("AAPL")], "AAPL is given twice"),
        ([asset("AAPL", weight=float("inf"))], "weight of AAPL is inf"),
        ([asset("AAPL", weight=float("nan"))], "weight of AAPL is nan"),
        ([asset("AAPL", float("inf"))], "score of AAPL is inf"),
    ],
)
def test_unusable_assets_are_refused_by_name(assets, message):
    with pytest.raises(InputError, match=message):
        manager().group_assets_by_bucket(assets)


def test_an_asset_of_two_buckets_counts_in_the_first_with_a_warning(caplog):
    twice = BucketManager({"Technology": ["AAPL"], "Phones": ["AAPL", "NOK"]})
    assert twice.get_asset_bucket("AAPL") == "Technology"
    assert twice.get_bucket_assets("Phones") == ["NOK"]
    assert "AAPL is listed in the buckets Technology and Phones" in caplog.text


def test_an_asset_listed_twice_in_one_bucket_counts_once(caplog):
    assert BucketManager({"Energy": ["XOM", "XOM"]}).get_bucket_assets("Energy") == ["XOM"]
    assert not caplog.records


def test_a_text_in_place_of_a_list_is_refused():
    with pytest.raises(InputError, match="bucket Energy lists 'XOM', a text"):
        BucketManager({"Energy": "XOM"})


def test_without_buckets_a_development_map_is_used_with_a_warning(caplog):
    assert BucketManager().get_all_buckets() == list(DEVELOPMENT_BUCKETS)
    assert len(DEVELOPMENT_BUCKETS) == 4
    assert "development map" in caplog.text


class WithMapping:
    buckets = BUCKETS


class WithMethod:
    def get_all_buckets(self):
        return BUCKETS


class WithListAndMethod:
    buckets = ("Technology", "Energy")

    def get_all_buckets(self):
        return BUCKETS


class WithNames:
    def get_all_buckets(self):
        return ["Technology"]


@pytest.mark.parametrize("source", [WithMapping(), WithMethod(), WithListAndMethod()])
def test_an_asset_manager_is_taken_as_a_source(source):
    assert BucketManager(source).get_asset_bucket("XOM") == "Energy"


@pytest.mark.parametrize("source", [WithNames(), object()])
def test_anything_else_is_refused(source):
    with pytest.raises(InputError, match="no source of buckets"):
        BucketManager(source)
