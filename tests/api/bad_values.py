"""What nobody sends who means well."""

# fmt: off
TEXTS = [
    "", " ", "1", "x" * 300, "x" * 5_000, "\0", "a\0b", "é", "日本", "😀", "\u202e", "١", "²", "1\n2",
    "../../etc/passwd", "%00", "%", "'; DROP TABLE x; --", "{{7*7}}", "<script>", "null", "NaN", "*",
    "-1", "0", "+1", "1.0", "1e3", "0x10", "1_000", " 1", "\ufeff", "9" * 5_000, str(2**63), str(2**31),
]
BYTES = [
    *(one.encode() for one in TEXTS), b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80",
]
VALUES = [
    '""', '"1"', '"abc"', '"\\u0000"', '"\\ud800"', '"\\udc00x"', '"\\ud83d\\ude00"', '"\\x00"', '"\t"',
    "null", "true", "[]", "{}", '{"a":1}', '{"":1}', '{"\\u0000":1}', '{"\\ud800":1}', '{"a":1,"a":2}',
    "0", "-0", "1", "01", "+1", "0.1", "1e999", "-1e999", "1e-999", "NaN", "Infinity", '"1e999999"',
    '"NaN"', '"-Infinity"', str(2**64), "9" * 4_000, "-" + "9" * 1_001, '"' + "9" * 5_000 + '"',
    "[" * 28 + "]" * 28, "[" * 30 + "]" * 30, "[" * 31 + "]" * 31, "[" * 2_000 + "]" * 2_000,
    "[" * 100_000, '[{"a":{"b":1,"b":1}}]', "[" + "1," * 9_000 + "1]", "'1'", "undefined", "\0",
    '"' + "x" * 300 + '"', '"' + "x" * 60_000 + '"',
]
HEADERS = [
    "", " ", "*", "0", '"0"', 'W/"0"', '"0", "1"', '"', ",", '"\0"', '"é"', "9" * 5_000, '"' + "9" * 5_000,
    "k", '"k"', "k" * 300, "a\0b", "a\x7fb", "a, b", "\xff", "\ud800", "ключ".encode().decode("latin-1"),
]
MEDIA_TYPES = [
    "application/json; charset=utf-8", "application/json; charset=utf-16", "application/json; charset=",
    "application/json; charset=punycode", "application/json; charset=hex", "application/json; charset=x",
    "application/json; charset=undefined", 'application/json; charset="\xff"', "text/plain", "", "/", "*/*",
    "multipart/form-data", "application/x-www-form-urlencoded", "application/json;" + "a" * 5_000,
]
ACCEPTED = [
    "application/json", "*/*", "text/html", "image/png", "", "a", "application/json; q=x", "\xff",
    ";" * 500, "application/json; indent=" + "9" * 5_000,
]
