"""What stands where a signature belongs may be anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovenbird.seals.keys import generate, keyring
from ovenbird.values.errors import Tampered
from ovenbird.values.seal import Sealed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["payload", "payloadType", "signatures", "sig", "keyid"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON.map(json.dumps) | st.text(max_size=40))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_stands_for_a_signature_is_refused_with_a_sentence(
    tmp_path: Path, envelope: str
) -> None:
    if not (tmp_path / "keys").exists():
        generate(tmp_path, name="site")
    keys = keyring(tmp_path, {})
    assert keys is not None

    with pytest.raises(Tampered, match="web/1 is not signed"):
        keys.open(envelope, Sealed.VERSION, called="web/1")


def test_a_signature_over_one_kind_of_thing_is_none_over_another(tmp_path: Path) -> None:
    generate(tmp_path, name="site")
    keys = keyring(tmp_path, {})
    assert keys is not None
    channel = keys.close(b"{}", Sealed.CHANNEL)

    assert keys.open(channel, Sealed.CHANNEL, called="web@stable") == b"{}"
    with pytest.raises(Tampered, match=r"as application/vnd\.ovenbird\.channel"):
        keys.open(channel, Sealed.VERSION, called="web/1")
    renamed = channel.replace(Sealed.CHANNEL, Sealed.VERSION)
    with pytest.raises(Tampered, match="by no key in"):
        keys.open(renamed, Sealed.VERSION, called="web/1")
