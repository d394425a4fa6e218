"""Bytes → text: parts, encodings, HTML, flowed lines, headers, and bounds."""

from __future__ import annotations

import base64
import contextlib
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mail.read import open_mail, read
from gateway.model import ReceivedEmail
from gateway.verdicts import Refused


def mail(raw: bytes | str, undeclared: str = "windows-1251") -> ReceivedEmail:
    return read(open_mail(raw.replace("\n", "\r\n").encode() if isinstance(raw, str) else raw), undeclared)


HTML = (
    "<html><head><style>p{}</style><title>t</title></head><body><p>Один</p><p>два&nbsp;три<br>четыре</p></body></html>"
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param("From: a@b.c\n\nhello\n", "hello", id="plain"),
        pytest.param(
            "Content-Type: multipart/mixed; boundary*=x; boundary*0*=y\n\n--x\n\nhello\n--x--\n",
            "hello",
            id="a parameter both whole and in pieces",
        ),
        pytest.param("hello\nworld\n", "hello\nworld", id="no header at all"),
        pytest.param("Alarm: door open\n", "Alarm: door open", id="what looks like a header is the text"),
        pytest.param(
            "Subject: x\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(b"hello").decode(),
            "hello",
            id="base64",
        ),
        pytest.param(
            "Subject: x\nContent-Transfer-Encoding: quoted-printable\n\nhel=\nlo =3D\n",
            "hello =",
            id="quoted-printable",
        ),
        pytest.param(
            f"Subject: x\nContent-Type: text/html; charset=utf-8\n\n{HTML}", "Один\nдва три\nчетыре", id="html"
        ),
        pytest.param("Subject: x\n\ntext\n-- \nIvan\n+7 000\n", "text", id="signature"),
        pytest.param("Subject: x\n\ntext\n--\nnot a signature\n", "text\n--\nnot a signature", id="two dashes only"),
        pytest.param(
            "Subject: x\nContent-Type: text/plain; charset=utf-8\n\na\u00a0b\ufeffc\u200bd\n", "a bcd", id="spaces"
        ),
        pytest.param(
            "Subject: x\nContent-Type: text/plain; format=flowed\n\nlong \nline\nnext\n", "long line\nnext", id="flowed"
        ),
        pytest.param("Subject: x\nContent-Type: text/plain; format=flowed; delsp=yes\n\nlo \nng\n", "long", id="delsp"),
        pytest.param("Subject: x\nContent-Type: text/plain; charset=\n\nx\n", "x", id="empty charset"),
        pytest.param("Subject: x\nContent-Type: nonsense\n\nx\n", "x", id="broken content type"),
        pytest.param("\ufeffSubject: x\n\ny\n", "y", id="mark before the header"),
        pytest.param(
            "Received: z\n\ufeffSubject: x\n\ny\n", "y", id="mark before the header, a relay's field before it"
        ),
        pytest.param("\nTo : day\n\nSubject : none\n", "To : day\n\nSubject : none", id="blanks in a text stay"),
        pytest.param("Subject : x\nContent-type\t: text/html\n\n<b>y</b>\n", "y", id="blanks before colons"),
        pytest.param("Subject: x\nContent-Type: text/plain (of a kind) charset=utf-8\n\nё\n", "ё", id="no semicolon"),
        pytest.param(
            "Subject: x\nContent-Transfer-Encoding: BASE64 ; x\n\naGVsbG8=\n", "hello", id="encoding with a tail"
        ),
        pytest.param("Subject: x\nContent-Type: multipart/mixed\n\nhello\n", "hello", id="multipart of nothing"),
        pytest.param(
            "Subject: x\nContent-Type: multipart/mixed\n\nhello\n--\nnot a part\n",
            "hello\n--\nnot a part",
            id="multipart with a dash line",
        ),
        pytest.param(
            "Subject: x\nContent-Type: text/html\n\n<div style='DISPLAY: none'>no</div><p style='color:red'>yes",
            "yes",
            id="hidden",
        ),
        pytest.param(
            "Subject: x\nContent-Type: text/html\n\n<table>a<tr><td>1<td>2<tr><td>3<td>4<br>5</table>b",
            "a\n1 2\n3\n4\n5\n\nb",
            id="table",
        ),
    ],
)
def test_text(raw: str, text: str) -> None:
    assert mail(raw).text.strip("\n") == text


def parts(kind: str, *bodies: str) -> str:
    joined = "".join(f"--B\n{body}\n" for body in bodies)
    return f"Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary=B\n\n{joined}--B--\n"


PLAIN = "Content-Type: text/plain\n\nplain"
RICH = "Content-Type: text/html\n\n<b>rich</b>"
FILE = "Content-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nfile"
OTHER_MAIL = "Content-Type: message/rfc822\n\nSubject: y\n\nother"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (parts("alternative", PLAIN, RICH), "plain"),
        (parts("alternative", RICH, PLAIN), "plain"),
        (parts("alternative", "Content-Type: text/plain\n\n \n", RICH), "rich"),
        (parts("alternative", RICH, "\nno header"), "no header"),
        (parts("mixed", "Content-Type: text/plain\n\n \n", "\nno header"), "no header"),
        (parts("mixed", FILE, PLAIN), "plain"),
        (parts("mixed", FILE), "file"),
        (parts("mixed", OTHER_MAIL, PLAIN), "plain"),
        (parts("related", RICH), "rich"),
        (
            parts(
                "mixed",
                "Content-Type: multipart/alternative; boundary=C\n\n--C\n" + RICH + "\n--C\n" + PLAIN + "\n--C--",
                FILE,
            ),
            "plain",
        ),
    ],
)
def test_which_part(raw: str, text: str) -> None:
    assert mail(raw).text.strip() == text


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (parts("mixed", "Content-Type: image/png\n\nx"), "no_readable_text"),
        (
            "Subject: x\nContent-Type: multipart/mixed; boundary=B\n\n--C \n D\nContent-Type: text/plain\n\nx\n",
            "no_readable_text",
        ),
        (parts("mixed", "Content-Type: application/pkcs7-mime\n\nx"), "mail_encrypted"),
        ("Subject: x\nContent-Type: application/ms-tnef\n\nx", "no_readable_text"),
        (parts("mixed", OTHER_MAIL), "no_readable_text"),
        ("Subject: x\nContent-Type: application/pdf\n\nx", "no_readable_text"),
        ("Subject: x\nX: " + "y" * 20_000 + "\n\nx", "mail_too_complex"),
        ("X: y\n" * 20_000 + "\nx", "mail_too_complex"),
        (parts("mixed", *([PLAIN] * 10_000)), "mail_too_complex"),
        *[
            ("".join(f"Content-Type: multipart/mixed; {name}=b{n}\n\n--b{n}\n" for n in range(500)), "mail_too_complex")
            for name in ("boundary", "BoundarY", "boundary*0", "boundary ", "boundary*0*")
        ],
        ("Subject: x\n" + "Content-Type: message/rfc822\n\n" * 1000, "mail_too_complex"),
        ("Subject: x\nContent-Type: message/delivery-status\n\n" + "a: b\n\n" * 1000, "mail_too_complex"),
        ("Content-Type: multipart/digest; boundary=B\n\n" + "--B\n\n\n" * 200, "mail_too_complex"),
        ("a: b\n" * 3000 + "\nx", "mail_too_complex"),
        (parts("mixed", "Content-Type: text/plain" + ";" * 10_000 + "\n\nx"), "mail_too_complex"),
        (parts("mixed", "Content-Disposition: inline" + ";" * 10_000 + "\n\nx"), "mail_too_complex"),
        (parts("mixed", "X: " + "y" * 20_000 + "\n\nx"), "mail_too_complex"),
        (parts("mixed", PLAIN + "\n" * 5_000_000), "mail_too_complex"),
        ("Subject: x\n\n" + "y" * 2_000_001, "mail_too_complex"),
        ("Subject: x\nContent-Type: text/html\n\n" + "<p>" * 30_000, "mail_too_complex"),
    ],
)
def test_refused(raw: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        mail(raw)
    assert caught.value.refusal.reason.key == reason


def encoded(word: bytes, charset: str) -> str:
    return f"=?{charset}?B?{base64.b64encode(word).decode()}?="


@pytest.mark.parametrize(
    ("subject", "decoded"),
    [
        (b"plain;x;", "plain;x;"),
        ("Банк;x;".encode("cp1251"), "Банк;x;"),
        ("Банк;x;".encode(), "Банк;x;"),
        (encoded("Банк".encode("koi8-r"), "koi8-r").encode(), "Банк"),
        ((encoded("Б".encode()[:1], "utf-8") + "\r\n " + encoded("Б".encode()[1:], "utf-8")).encode(), "Б"),
        (b"=?utf-8?Q?a_b=3Bc?= d", "a b;c d"),
        (b"=?utf-8?Q?broken", "=?utf-8?Q?broken"),
        (b"folded\r\n subject", "folded subject"),
    ],
)
def test_subject(subject: bytes, decoded: str) -> None:
    assert mail(b"Subject: " + subject + b"\r\n\r\nx").subject == decoded


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("a@b.example", "a@b.example"),
        ("Ann <A@B.example>", "a@b.example"),
        ('"Evil <good@bank.example>" <evil@x.example>', "evil@x.example"),
        ("a@b.example, c@d.example", "<unreadable>"),
        ("<a@b.example> <c@d.example>", "<unreadable>"),
        ("undisclosed", "<unreadable>"),
        ("a@b.example (comment)", "a@b.example"),
        ('"Ann <a@b.example>', "a@b.example"),
        ('"' + '\\\\"' * 4000, "<unreadable>"),
    ],
)
def test_from(value: str, address: str) -> None:
    assert mail(f"From: {value}\nSubject: x\n\nx").from_addresses == (address,)


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: auto-generated",
        "Precedence: LIST",
        "List-Unsubscribe: <x>",
        "X-Auto-Response-Suppress: DR, AutoReply",
        "Content-Type: multipart/report; boundary=x",
    ],
)
def test_automatic(field: str) -> None:
    assert open_mail(f"Subject: x\r\n{field}\r\n\r\nx".encode()).automatic


def test_not_automatic() -> None:
    assert not open_mail(b"Subject: x\r\nAuto-Submitted: no\r\nPrecedence: first-class\r\n\r\nx").automatic


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for prefix in (
        b"",
        b"Content-Type: multipart/mixed\r\n\r\n--x\r\n",
        b"Content-Type: application/pkcs7-mime\r\n\r\n",
        b"Content-Type: application/ms-tnef\r\n\r\n",
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n",
        b"Content-Type: text/html\r\n\r\n",
    ):
        with contextlib.suppress(Refused):
            assert isinstance(mail(prefix + raw).text, str)


@given(st.text(st.characters(codec="koi8-r", exclude_characters="\r\n\x00\xa0", exclude_categories=["Cc"]), min_size=1))
def test_every_text_survives_every_encoding(text: str) -> None:
    data = f"|{text}|".encode("koi8-r")
    head = b"Subject: x\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: "
    for name, body in (
        ("base64", base64.encodebytes(data)),
        ("quoted-printable", quopri.encodestring(data)),
        ("8bit", data),
    ):
        assert mail(head + name.encode() + b"\r\n\r\n" + body).text.strip("\n") == f"|{text}|"


@pytest.mark.parametrize(
    "style",
    ["padding-left:99999em", "margin-top:9999999em", "margin-top:1" + "0" * 400 + "em", "style:" * 3000, "a:b;" * 5000],
)
def test_no_style_takes_room_or_fails(style: str) -> None:
    html = f"<div style='{style}'>" * 30 + f"<p style='{style}'>x<p>y"
    assert mail(f"Subject: x\nContent-Type: text/html\n\n{html}").text == "x\ny"


def test_one_wide_cell_does_not_widen_the_rows() -> None:
    rows = "<tr><td>a</td><td>b</td></tr>" * 500
    text = mail(f"Subject: x\nContent-Type: text/html\n\n<table><tr><td>{'w' * 50_000}</td></tr>{rows}</table>").text
    assert text == "\n".join(["w" * 50_000, *["a b"] * 500])
