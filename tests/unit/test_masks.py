"""Masks are deterministic, keep NULL, and reveal nothing but what they are meant to keep."""

from __future__ import annotations

import hashlib
import hmac

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.model.values.masks import Mask, MaskKind, mask_values

KEY = b"a random key of the test"
keys = st.binary(min_size=16, max_size=64).filter(lambda key: key[-1])  # an HMAC fills up keys with zeros
texts = st.lists(st.one_of(st.none(), st.text()), max_size=50)


@given(texts)
def test_an_hmac_depends_on_the_value_and_the_key_alone(values):
    """Each value is masked as the standard library does it, in any batch, and NULL stays NULL."""
    masked = mask_values(Mask(MaskKind.HMAC, key=KEY), pa.array(values, pa.string()))
    assert masked.type == pa.string()
    expected = [v if v is None else hmac.new(KEY, v.encode(), hashlib.sha256).hexdigest() for v in values]
    assert masked.to_pylist() == expected


@given(keys, keys)
def test_a_mask_is_described_without_its_key(one, other):
    """What schemas record of a mask names no key, and changes with it."""
    first, second = (Mask(MaskKind.HMAC, key=key) for key in (one, other))
    assert (str(first) == str(second)) == (one == other)
    assert len(str(first)) == len("hmac 01234567")
    assert repr(first) == "Mask(kind=<MaskKind.HMAC: 'hmac'>, length=0)"
