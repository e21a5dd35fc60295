from __future__ import annotations

import dataclasses
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import KEY, a_goal, a_version, an_instance

from ovenbird.values import errors
from ovenbird.values.errors import CommandFailed, ConfigurationError, Fault, OvenbirdError
from ovenbird.values.fleet import LaunchData
from ovenbird.values.image import ImageRef, ImageState
from ovenbird.values.instance import Health
from ovenbird.values.recipe import Change, Recipe, explain

contents = st.dictionaries(st.text(min_size=1, max_size=5), st.binary(max_size=5), max_size=5)


@pytest.mark.parametrize("text", ["web/2", "web@stable", "web-api/10", "b@a-b"])
def test_an_image_is_written_as_it_is_read(text: str) -> None:
    assert str(ImageRef.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["web", "web/", "web/x", "/2", "@stable", "Web/2", "web/²", "a@b/2"]
)
def test_what_names_no_image_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        ImageRef.parse(text)

    assert "web/2" in refused.value.remedy


def test_a_revoked_or_failed_version_is_never_launched_and_a_deprecated_one_is() -> None:
    launchable = [state for state in ImageState if a_version(state=state).launchable]

    assert launchable == [ImageState.ACTIVE, ImageState.DEPRECATED]


def test_values_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_version(1).number = 2  # type: ignore[misc]


def test_secrets_are_not_shown() -> None:
    data = LaunchData(secrets=(("token", b"s3cret"),), hash="h")

    assert "s3cret" not in repr(data)


def test_an_instance_is_current_only_if_image_and_launch_hash_match() -> None:
    goal = a_goal("web/2", launch_hash="a")

    assert goal.is_run_by(an_instance(1, "web/2", launch_hash="a"))
    assert not goal.is_run_by(an_instance(1, "web/2", launch_hash="b"))
    assert not goal.is_run_by(an_instance(1, "web/1", launch_hash="a"))


def test_a_fleet_is_named_with_its_environment() -> None:
    assert str(KEY) == "dev/web"


@given(contents)
def test_the_order_of_inputs_changes_no_fingerprint(files: dict[str, bytes]) -> None:
    turned = dict(reversed(files.items()))

    assert Recipe.of("web", files).fingerprint == Recipe.of("web", turned).fingerprint


@given(contents, contents)
def test_a_fingerprint_differs_exactly_where_there_is_something_to_explain(
    before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    old, new = Recipe.of("web", before), Recipe.of("web", after)

    assert (old.fingerprint == new.fingerprint) == (explain(old, new) == ())


def test_an_explanation_says_what_was_added_removed_and_changed() -> None:
    old = Recipe.of("web", {"a": b"1", "b": b"1", "c": b"1"})
    new = Recipe.of("web", {"a": b"1", "b": b"2", "d": b"1"})

    assert explain(old, new) == (
        Change(what="changed", name="b"),
        Change(what="removed", name="c"),
        Change(what="added", name="d"),
    )


def test_every_error_has_an_exit_code_that_is_documented() -> None:
    tree = [
        c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, OvenbirdError)
    ]

    assert {error.exit_code for error in tree} == {1, 2, 3, 4, 5, 6}
    assert all(error.__name__ in (errors.__doc__ or "") for error in tree)


def test_all_faults_are_told_at_once_in_the_order_of_their_lines() -> None:
    faults = [Fault(file="f.yml", line=n, problem=f"bad {n}", remedy=f"do {n}") for n in (9, 2)]

    error = ConfigurationError(faults)

    assert error.problem == "f.yml:2: bad 2"
    assert error.remedy == "do 2\nf.yml:9: bad 9\n  do 9"


def test_a_failed_command_keeps_its_last_ten_lines() -> None:
    lines = "\n".join(f"line {n}" for n in range(30))

    error = CommandFailed(doing="Sealing", command="seal it", code=3, output=lines)

    assert error.problem == "Sealing failed with exit code 3."
    assert error.evidence.splitlines()[0] == "line 20"


def test_the_builders_refuse_worlds_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="serves and leaves"):
        an_instance(1, leaving=True)
    with pytest.raises(ValueError, match="never accepted"):
        an_instance(1, health=Health.PENDING, ready=True)
