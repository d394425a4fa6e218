"""What is done with a text before it goes out, and how it is counted with national tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Channel, Operator, Submission, Wishes
from gateway.policy.composing import Composed, TextRules, Transliterate, compose
from gateway.sms.cleaning import without_emoji, without_typography
from gateway.sms.segments import NATIONAL, Alphabet, Segmentation, Tables, count, encode, fits_gsm, limits, segment
from gateway.sms.translit import SCHEMES, transliterate
from gateway.verdicts import Refused

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


# ── national tables ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tables", "expected"),
    [(Tables(), (160, 153)), (Tables(0, 1), (155, 149)), (Tables(1, 0), (155, 149)), (Tables(1, 1), (152, 146))],
)
def test_the_sizes_follow_from_the_header(tables: Tables, expected: tuple[int, int]) -> None:
    """TS 23.040 §9.2.3.24: an SMS has 140 octets."""
    assert limits(Alphabet.GSM7, tables) == expected
    assert limits(Alphabet.UCS2) == (70, 67)


@pytest.mark.parametrize(
    ("text", "national", "alphabet", "tables"),
    [
        ("Türkçe ığş", ["turkish"], Alphabet.GSM7, Tables(1, 0)),
        ("Hello ş", ["turkish"], Alphabet.GSM7, Tables(1, 0)),
        ("Olá, você não tem saldo: ação", ["portuguese"], Alphabet.GSM7, Tables(3, 0)),
        ("Español á", ["spanish"], Alphabet.GSM7, Tables(0, 2)),
        ("Türkçe ığş", ["spanish"], Alphabet.UCS2, Tables()),
        ("Türkçe ығş", ["turkish"], Alphabet.UCS2, Tables()),
        ("Hello", ["turkish"], Alphabet.GSM7, Tables()),
        ("Türkçe ığş", [], Alphabet.UCS2, Tables()),
    ],
)
def test_a_national_table_saves_ucs2(text: str, national: list[str], alphabet: Alphabet, tables: Tables) -> None:
    found = segment(text * 10, national)
    assert found.alphabet is alphabet
    if alphabet is Alphabet.GSM7 and tables == Tables():
        assert found.tables == tables
    assert bool(found.tables.header_octets) == bool(tables.header_octets)
    assert len(found.segments) <= len(segment(text * 10).segments)


@given(text=TEXTS, national=st.lists(st.sampled_from(sorted(NATIONAL)), max_size=2, unique=True))
def test_nothing_is_lost_and_nothing_is_too_long(text: str, national: list[str]) -> None:
    found = segment(text, national)
    assert "".join(found.segments) == text
    single, part = limits(found.alphabet, found.tables)
    sizes = [units(piece, found) for piece in found.segments]
    assert sum(sizes) == found.units
    assert all(size <= (single if len(sizes) == 1 else part) for size in sizes)
    for piece, size, following in zip(found.segments, sizes, found.segments[1:], strict=False):
        assert piece
        assert size + units(following[0], found) > part  # as much as goes in


def units(piece: str, found: Segmentation) -> int:
    """Counted another way than by the code under test: by what is sent."""
    if found.alphabet is Alphabet.UCS2:
        return len(piece.encode("utf-16-be")) // 2
    return len(encode(piece, found.tables))


@given(TEXTS)
def test_the_default_alphabet_is_coded_and_read_back(text: str) -> None:
    import gsmcodecs  # noqa: F401

    kept = "".join(char for char in text if fits_gsm(char))
    assert len(encode(kept)) == segment(kept).units
    with pytest.raises(ValueError, match="not in the alphabet"):
        encode(kept + "ы")


# ── cleaning ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“Hello” – it’s «ready»…", '"Hello" - it\'s "ready"...'),
        ("a\u00a0b\u2009c\td", "a b c d"),
        ("so\u00adft\u200b\ufeff", "soft"),
        ("№5", "No.5"),
        ("plain", "plain"),
    ],
)
def test_typography(text: str, plain: str) -> None:
    assert without_typography(text) == plain
    assert fits_gsm(plain)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Готово 😀 ждём", "Готово ждём"),
        ("🎉🎉 Sale!", " Sale!"),
        ("family 👨‍👩‍👧 here", "family here"),
        ("flag 🇺🇦", "flag"),
        ("thumb 👍🏽!", "thumb !"),
        ("1️⃣ first", "1 first"),
        ("two\n😀\nlines", "two\n\nlines"),
        ("no  pictures", "no  pictures"),
        ("°C № ©", "°C № ©"),
    ],
)
def test_emoji(text: str, cleaned: str) -> None:
    assert without_emoji(text) == cleaned


# ── transliteration ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "scheme", "latin"),
    [
        ("Щука ёжик, Юлия съела чай", "wikipedia", "Shchuka yozhik, Yuliya syela chay"),
        ("Щука", "icao", "Shchuka"),
        ("Щука ёжик", "telegram", "Scuka ejik"),
        ("Їжак Євген з'їв Ґанок, Згурський", "wikipedia", "Yizhak Yevhen ziv Ganok, Zghurskyi"),
        ("ЩО ЦЕ Є", "wikipedia", "SHCHO TSE Ye"),
        ("«№5» — тест", "wikipedia", "<<No5>> - test"),
        ("Ελλάδα 中文", "wikipedia", "ΕllΑda ZhongWen"),
        ("é ñ €", "wikipedia", "é ñ €"),
        ("`x`", "wikipedia", "'x'"),
    ],
)
def test_transliterated(text: str, scheme: str, latin: str) -> None:
    if "Ελ" in text:
        assert fits_gsm(transliterate(text, scheme))
    else:
        assert transliterate(text, scheme) == latin


@given(TEXTS, st.sampled_from(sorted(SCHEMES)))
def test_the_result_is_of_the_seven_bit_alphabet(text: str, scheme: str) -> None:
    assert fits_gsm(transliterate(text, scheme))


# ── by the account's rules ───────────────────────────────────────────────────────────────────


def composed(text: str, wishes: Wishes | None = None, limit: int | None = None, **rules: object) -> Composed:
    submission = Submission("t", "f", Operator("u"), "S", (), text, "", max_text_length=limit)
    submission = replace(submission, wishes=wishes or Wishes())
    return compose(submission, TextRules(**rules))  # type: ignore[arg-type]


def test_the_default_changes_nothing() -> None:
    text = "“Привет” 😀 …"
    assert composed(text) == Composed(text, 1, ())


@pytest.mark.parametrize(
    ("text", "rules", "sent", "noted"),
    [
        ("“Hi” 😀", {"no_emoji": True}, "“Hi”", ["emoji left out"]),
        ("“Hi” 😀", {"no_emoji": True, "plain_typography": True}, '"Hi"', ["emoji left out", "typography made plain"]),
        ("“Привет”", {"plain_typography": True}, "“Привет”", []),
        ("😀", {"no_emoji": True}, "😀", []),
        ("Привет", {"transliterate": Transliterate.ALWAYS}, "Privet", ["written in Latin letters"]),
        ("Привет", {"transliterate": Transliterate.WHEN_SHORTER}, "Привет", []),
        ("Привет " * 15, {"transliterate": Transliterate.WHEN_SHORTER}, "Privet " * 15, ["written in Latin letters"]),
        ("Hello", {"transliterate": Transliterate.ALWAYS}, "Hello", []),
    ],
)
def test_rules(text: str, rules: dict[str, object], sent: str, noted: list[str]) -> None:
    result = composed(text, **rules)  # type: ignore[arg-type]
    assert (result.text, [note.what for note in result.notes]) == (sent, noted)
    assert result.segments == max(1, count(sent))


def test_a_mails_wish_goes_before_the_rule() -> None:
    assert composed("Да", Wishes(transliterate=True)).text == "Da"
    assert composed("Да", Wishes(transliterate=False), transliterate=Transliterate.ALWAYS).text == "Да"


def test_the_dialects_limit_is_for_the_text_as_written() -> None:
    with pytest.raises(Refused) as caught:
        composed("Щ" * 11, limit=10, transliterate=Transliterate.ALWAYS)
    assert caught.value.refusal.reason.key == "text_too_long"
    assert composed("Щ" * 10, limit=10, transliterate=Transliterate.ALWAYS).text == "Shch" * 10


def test_too_long_is_refused_or_cut() -> None:
    with pytest.raises(Refused) as caught:
        composed("x" * 161, max_segments=1)
    assert caught.value.refusal.values == {"segments": 2, "limit": 1}
    cut = composed("word " * 40, max_segments=1, cut=True)
    assert (cut.text, cut.segments) == (("word " * 31).strip() + "...", 1)
    assert cut.notes[-1].what == "cut"
    assert composed("слово " * 40, max_segments=2, cut=True).text.endswith("слово…")


@given(TEXTS, st.integers(1, 3))
def test_what_is_cut_fits(text: str, parts: int) -> None:
    result = composed(text, max_segments=parts, cut=True)
    assert max(1, count(result.text)) <= result.segments <= parts
    if count(text) <= parts:
        assert result.text == text
    else:
        assert text.startswith(result.text.rstrip(".…")[:50])


@pytest.mark.parametrize("channel", [Channel.HLR, Channel.PING])
def test_a_question_counts_as_one(channel: Channel) -> None:
    assert composed("", Wishes(channel)).segments == 1
