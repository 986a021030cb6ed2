from core.wording import counted


def test_one_is_singular_and_any_other_number_is_not():
    assert [counted(number, "run") for number in (0, 1, 2, 1200)] == ["0 runs", "1 run", "2 runs", "1,200 runs"]


def test_a_plural_may_be_given():
    assert counted(2, "set of inputs", "sets of inputs") == "2 sets of inputs"
