"""What every driver must keep, whatever protocol it speaks: a test kit, also for drivers in other packages.

    from gateway.testing import DriverContract

    class TestMyDriver(DriverContract):
        words = ("Insufficient funds", "Flood")

        def make(self):
            return MyDriver(MySettings(driver="mine", user="corp", password=self.secret))

        def sent(self, attempts):
            return Response(200, b"id: 17")

Needs pytest and hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import (
    Attempt,
    Callback,
    Deferred,
    Job,
    Outcome,
    Pushed,
    Rejected,
    Request,
    Response,
    Submitted,
    Uncertain,
)
from gateway.providers import BalanceQuery, CallbackReader, Driver, PriceQuery, StatusQuery
from gateway.verdicts import REASONS, Refused

SECRET = "s3cr+t&<x>"  # noqa: S105
NUMBER = "79101234567"
STATUSES = st.one_of(
    st.sampled_from([200, 200, 200, 201, 204, 302, 400, 404, 429, 500, 502, 503]), st.integers(100, 599)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_any_number_of_classes = settings(
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], deadline=None
)


def attempt(number: str = NUMBER, text: str = "text", *, repeats: bool = False) -> Attempt:
    """An SMS on its way."""
    job = Job("J-1", "J", "user", "My Bank", number, text, 1, ("main",), 0.0, 1e9)
    return Attempt(job, "main", 1, 1, repeats=repeats)


class DriverContract:
    """Subclass it in a test file and say how the driver is made and what its provider answers."""

    secret = SECRET
    """Give it to the driver as its password, key or token."""
    words: Sequence[str] = ()
    """Words by which the provider's known answers are recognised. Words without any of them must never mean sent."""

    def make(self) -> Driver:
        """A new driver."""
        raise NotImplementedError

    def sent(self, attempts: Sequence[Attempt]) -> Response:
        """What the provider answers when it takes them."""
        raise NotImplementedError

    # ── what it must keep ────────────────────────────────────────────────────────────────────

    @_any_number_of_classes
    @given(count=st.integers(1, 3), text=TEXTS)
    def test_a_request_is_data_and_always_the_same(self, count: int, text: str) -> None:
        """A repeat must be byte for byte the first request. URLs are safe, shown ones hold no secret."""
        attempts = self._attempts(count, text=text)
        try:
            request = self.make().submit(attempts)
        except Refused as refused:
            assert refused.refusal.reason.key in REASONS
            return
        assert request == self.make().submit(attempts)
        assert request == self.make().submit(self._attempts(count, text=text, repeats=True))
        self._is_wellformed(request)

    def test_what_the_provider_takes_is_submitted(self) -> None:
        """With an id for each, all different."""
        attempts = self._attempts(3)
        outcomes = self.make().read_submit(attempts, self.sent(attempts))
        assert all(isinstance(outcome, Submitted) and outcome.provider_id for outcome in outcomes)
        assert len({outcome.provider_id for outcome in outcomes if isinstance(outcome, Submitted)}) == len(attempts)

    @_any_number_of_classes
    @given(data=st.data(), status=STATUSES, count=st.integers(1, 3), repeats=st.booleans())
    def test_one_outcome_for_each_attempt_whatever_is_answered(
        self, data: st.DataObject, status: int, count: int, repeats: bool
    ) -> None:
        """And never the secret, even where the provider repeats it."""
        attempts = self._attempts(count, repeats=repeats)
        body = data.draw(self._bodies(attempts))
        outcomes = self.make().read_submit(attempts, Response(status, body))
        assert len(outcomes) == len(attempts)
        assert self._hides(outcomes)
        for outcome in outcomes:
            _is_sound(outcome, status)

    @_any_number_of_classes
    @given(text=st.text(st.characters(categories=["L", "P", "Zs"]), min_size=1, max_size=60))
    def test_words_that_nobody_knows_never_mean_sent(self, text: str) -> None:
        """They are a refusal that somebody must look at, or may hide a sent SMS."""
        if any(word.casefold() in text.casefold() for word in self.words):
            return
        for outcome in self.make().read_submit(self._attempts(3), Response(200, text.encode())):
            assert isinstance(outcome, Rejected | Uncertain)
            assert isinstance(outcome, Uncertain) or outcome.alert

    @_any_number_of_classes
    @given(data=st.data(), status=STATUSES)
    def test_what_is_asked_besides_is_answered_or_refused(self, data: st.DataObject, status: int) -> None:
        """Status, balance, price, callbacks: no exception but ``Refused``."""
        made, body = self.make(), data.draw(self._bodies(self._attempts(1)))
        response = Response(status, body)
        readings: list[Callable[[], object]] = []
        if isinstance(made, StatusQuery):
            readings.append(lambda: made.read_status("7", response))
        if isinstance(made, BalanceQuery):
            readings.append(lambda: made.read_balance(response))
        if isinstance(made, PriceQuery):
            readings.append(lambda: made.read_price(response))
        if isinstance(made, CallbackReader):
            callback = Callback("POST", "https://sms.example.com/callbacks/main/token", body=body)
            readings.append(lambda: made.read_callback(callback))
        for reading in readings:
            try:
                read = reading()
                assert self._hides(read if not isinstance(read, Pushed) else read.answer)
            except Refused as refused:
                assert refused.refusal.reason.key in REASONS
                assert self._hides(refused.refusal)

    def test_nothing_that_is_shown_holds_a_secret(self) -> None:
        """Requests name their secrets, so that whoever shows one can mask them."""
        made = self.make()
        asked: list[Request] = [made.submit(self._attempts(1))]
        if isinstance(made, StatusQuery):
            asked.append(made.status("7", NUMBER))
        if isinstance(made, BalanceQuery):
            asked.append(made.balance())
        if isinstance(made, PriceQuery):
            asked.append(made.price(NUMBER))
        assert all(request.secrets for request in asked)
        assert all(self._hides(item) for item in (made, *asked))
        for request in asked:
            self._is_wellformed(request)
            masked = f"{request.url} {dict(request.headers)} {request.body!r}"
            for secret in request.secrets:
                masked = masked.replace(secret, "***")
            assert self.secret not in masked

    # ── how it is asked ──────────────────────────────────────────────────────────────────────

    def _attempts(self, count: int, *, repeats: bool = False, text: str = "text") -> list[Attempt]:
        group = min(count, self.make().traits.group)
        return [attempt(f"791012345{number:02}", text, repeats=repeats) for number in range(group)]

    def _bodies(self, attempts: Sequence[Attempt]) -> st.SearchStrategy[bytes]:
        """Anything; the provider's words in any surroundings; its good answer, damaged; the secret, repeated."""
        good = self.sent(attempts).body
        return st.one_of(
            st.binary(max_size=200),
            st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.tuples(st.text(max_size=10), st.sampled_from([*self.words, "OK"]), st.text(max_size=10)).map(
                lambda parts: "".join(parts).encode("utf-8", "replace")
            ),
            st.integers(0, len(good)).map(lambda cut: good[:cut]),
            st.tuples(st.integers(0, max(0, len(good) - 1)), st.binary(min_size=1, max_size=3)).map(
                lambda hit: good[: hit[0]] + hit[1] + good[hit[0] + 1 :]
            ),
            st.sampled_from(["said: {}", "/send?pwd={}&text=x", "<error>{}</error>", '{{"error": "{}"}}']).map(
                lambda words: words.format(self.secret).encode()
            ),
            st.just(b"[" * 100_000),
            st.just(b'{"a":' * 20_000),
        )

    def _hides(self, told: object) -> bool:
        return self.secret not in repr(told)

    def _is_wellformed(self, request: Request) -> None:
        assert request.url.startswith(("http://", "https://"))
        assert request.url.isascii()
        assert not set(request.url) & set(" \r\n\"'<>#")
        for name, value in request.headers.items():
            assert not set(name + value) & set("\r\n\0")
        assert self._hides(request)


def _is_sound(outcome: Outcome, status: int) -> None:
    match outcome:
        case Submitted(provider_id=provider_id, remark=remark):
            assert provider_id or remark
            assert 200 <= status < 300 or not provider_id
        case Deferred(why=why, after_s=after_s):
            assert why
            assert "\n" not in why
            assert after_s is None or after_s > 0
        case Uncertain(why=why):
            assert why
            assert "\n" not in why
        case Rejected(refusal=refusal):
            assert refusal.reason.key in REASONS
