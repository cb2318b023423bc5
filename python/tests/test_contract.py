"""Rules of the reply that the vectors cannot say."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from httpy_rs._contract import ContractFailure, check_reply


def test_1024_header_lines_are_the_most() -> None:
    reply = check_reply("worker:handler", "GET", (200, "", {"X-A": ["a"] * 1024}))
    assert len(reply.headers) == 1024


def test_header_names_go_out_as_given() -> None:
    reply = check_reply("worker:handler", "GET", (200, "", {"x-MiXed": "a", "X-B": "b"}))
    assert reply.headers == [("x-MiXed", "a"), ("X-B", "b")]


def test_a_mock_is_judged_by_its_real_type() -> None:
    with pytest.raises(
        ContractFailure, match=r"^worker:handler returned \(Mock, str, dict\): expected status to be an"
    ):
        check_reply("worker:handler", "GET", (Mock(spec=int), "", {}))


def test_the_failure_names_the_target() -> None:
    with pytest.raises(ContractFailure) as failure:
        check_reply("worker:go_request", "GET", None)
    assert str(failure.value) == "worker:go_request returned NoneType: expected a tuple (status, body, headers)"


def test_a_type_name_cannot_be_made_to_raise() -> None:
    class Meta(type):
        @property
        def __name__(cls) -> str:  # type: ignore[override]
            raise ZeroDivisionError

    class Odd(metaclass=Meta):
        pass

    with pytest.raises(ContractFailure, match=r"returned Odd: expected a tuple"):
        check_reply("worker:handler", "GET", Odd())
