"""How text becomes values, as SQL: blanks, words for nothing, numbers and moments; what is in doubt is not guessed."""

from dataclasses import dataclass

from company.company_file import Writing

# Spaces of every kind, and characters that nobody sees.
BLANKS = (
    " \t\n\r\v\f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u3000\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
)
NULL_WORDS = (
    *("NULL", "null", "Null", "(null)", "<null>", r"\N", "None", "none", "nil", "undefined"),
    *("NaN", "nan", "NAN", "NaT", "<NA>", "N/A", "n/a", "#N/A", "#NULL!", "-", "--"),
)
COMMA = 'not a number: set `decimal: ","` or `thousands: ","`'
DAY_OR_MONTH = "not a moment: set `day_first: true` or `date_format`"

_UNSEEN = "[\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff]"
_ANYWHERE_STRANGE, _STRANGE_EDGE = r"[^\x21-\x7e]", r"^[^\x21-\x7e]|[^\x21-\x7e]$"
_PLAIN = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?"
_GROUPED = r"[+-]?\d{1,3}(\.\d{3})+"
_OFFSET = r"(?i):\d{2}(\.\d+)?\s*(z|utc|[+-]\d{2}(:?\d{2})?)$"
_DAY_FIRST = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})\b"
_DAY_FIRST_SHORT = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{2})\b"
_IN_DOUBT = r"^\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b"
_HALF_DAY = r"(?i)\s*([ap])\.?m\.?$"
_FIRST_OF_LAST_CENTURY = 69  # the two-digit years of POSIX: 69 to 99 are of the last century
_EPOCH_UNITS = {10: 1_000_000, 13: 1_000}  # digits of a count since 1970 -> its unit in microseconds
_HOUR = r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])"  # ten digits that may be an hour


def literal(text: str) -> str:
    """Return `text` as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the text of one feed is read: as its `writing` declares, and moments without a zone in `zone`."""

    writing: Writing
    zone: str

    @property
    def null_words(self) -> tuple[str, ...]:
        """The words that stand for nothing."""
        return tuple(dict.fromkeys((*NULL_WORDS, *self.writing.null_words)))

    def trimmed(self, text: str, *, is_id: bool = False) -> str:
        """Return SQL for `text` without blanks around it; in an id, what nobody sees is dropped everywhere.

        Almost every text is plain, and that is much cheaper to see than to trim.
        """
        seen = f"regexp_replace({text}, '{_UNSEEN}', '', 'g')" if is_id else text
        strange = _ANYWHERE_STRANGE if is_id else _STRANGE_EDGE
        return f"case when regexp_matches({text}, '{strange}') then trim({seen}, {literal(BLANKS)}) else {text} end"

    def without_null_words(self, trimmed: str) -> str:
        """Return SQL for a trimmed text, null where nothing or a word for nothing is left."""
        words = ", ".join(literal(word) for word in ("", *self.null_words))
        return f"case when {trimmed} not in ({words}) then {trimmed} end"

    def filled(self, text: str) -> str:
        """Return SQL for `text` without blanks around it, null where nothing or a word for nothing is left."""
        return self.without_null_words(f"({self.trimmed(text)})")

    @property
    def has_signs(self) -> bool:
        """Tell whether the feed says how its numbers are written."""
        return bool(self.writing.decimal or self.writing.thousands)

    def number(self, filled: str) -> str:
        """Return SQL for the text that a cast reads as the number `filled`; null where its signs stand out of place."""
        if not self.has_signs:
            return filled
        thousands = self.writing.thousands or ("." if self.writing.decimal == "," else "")
        decimal = self.writing.decimal or ("," if thousands == "." else ".")
        group = {"": "", " ": "[ \u00a0\u202f]", "'": "['\u2019]"}.get(thousands, f"[{thousands}]")
        whole = rf"(\d+|\d{{1,3}}({group}\d{{3}})+)" if group else r"\d+"
        shape = literal(rf"[+-]?{whole}([{decimal}]\d+)?([eE][+-]?\d+)?")
        plain = f"regexp_replace({filled}, {literal(group)}, '', 'g')" if group else filled
        plain = plain if decimal == "." else f"replace({plain}, ',', '.')"
        return f"case when regexp_full_match({filled}, {shape}) then {plain} end"

    def has_comma(self, filled: str) -> str | None:
        """Return the condition that a comma stands in a number, where nothing says what it means."""
        return None if self.has_signs else f"contains({filled}, ',')"

    def may_be_grouped(self, filled: str) -> str | None:
        """Return the condition that a point in a number may group thousands, where nothing says what it does."""
        if self.has_signs:
            return None
        return f"(substr({filled}, -4, 1) = '.' and regexp_full_match({filled}, '{_GROUPED}'))"

    def day_is_in_doubt(self, filled: str) -> str | None:
        """Return the condition that nobody can tell day from month in a text."""
        is_told = self.writing.day_first or self.writing.date_format
        return None if is_told else f"regexp_matches({filled}, '{_IN_DOUBT}')"

    def moment(self, kind: str, filled: str) -> str:
        """Return SQL for a UTC timestamp out of a value of the DuckDB type `kind`; null where it is none.

        Text may be ISO, with an offset or without, or a count since 1970 of ten digits (seconds) or thirteen
        (milliseconds). DuckDB's cast of text to a plain timestamp drops a written offset, so such text goes through its
        zoned type.
        """
        if kind == "TIMESTAMP WITH TIME ZONE":
            return f"timezone('UTC', {filled})"
        if kind != "VARCHAR":
            return self._in_utc(filled if kind == "TIMESTAMP" else f"try_cast({filled} as timestamp)")
        if self.writing.date_format:
            return self._formatted(filled, self.writing.date_format)
        since_1970 = " ".join(
            f"when strlen({filled}) = {digits} and {_count(filled)} is not null and not regexp_full_match({filled}, "
            f"'{_HOUR}') then make_timestamp({_count(filled)}::bigint * {unit})"
            for digits, unit in _EPOCH_UNITS.items()
        )
        ordered = self._ordered(filled)
        joined = rf"regexp_replace({ordered}, '\s+([+-]\d)', '\1')"
        zoned = f"timezone('UTC', try_cast({joined} as timestamptz))"
        half_day = f"regexp_replace({ordered}, '{_HALF_DAY}', ' \\1M')"
        formats = "['%Y-%m-%d %I:%M:%S %p', '%Y-%m-%d %I:%M %p']"
        plain, iso = (self._in_utc(f"try_cast({text} as timestamp)") for text in (ordered, filled))
        zulu = f"when suffix({filled}, 'Z') then try_cast({filled} as timestamp)"  # most logs, by the shortest way
        doubt = self.day_is_in_doubt(filled)
        return (
            f"case when regexp_full_match({filled}, '{_PLAIN}') then {iso} "
            f"{zulu} {since_1970} when regexp_matches({filled}, '{_OFFSET}') then {zoned} "
            f"when regexp_matches({filled}, '{_HALF_DAY}') then {self._in_utc(f'try_strptime({half_day}, {formats})')} "
            + (f"when {doubt} then null " if doubt else "")
            + f"else {plain} end"
        )

    def fixed_moment(self, filled: str) -> tuple[tuple[str, str], ...]:
        """Return when a text is no plain ISO moment and was read all the same; UTC written as Z is plain."""
        if self.writing.date_format:
            return ()
        digits = ", ".join(str(digits) for digits in _EPOCH_UNITS)
        ways = {
            "epoch_time": f"strlen({filled}) in ({digits}) and {_count(filled)} is not null",
            "offset_time": f"not suffix({filled}, 'Z') and regexp_matches({filled}, '{_OFFSET}')",
            "day_first_time": f"regexp_matches({filled}, '{_IN_DOUBT}')" if self.writing.day_first else "",
        }
        plain = f"case when regexp_full_match({filled}, '{_PLAIN}') then false else"
        return tuple((f"{plain} {way} end", rule) for rule, way in ways.items() if way)

    def _in_utc(self, naive: str) -> str:
        return naive if self.zone == "UTC" else f"timezone('UTC', timezone('{self.zone}', {naive}))"

    def _formatted(self, filled: str, form: str) -> str:
        parsed = f"try_strptime({filled}, {literal(form)})"
        return f"timezone('UTC', {parsed})" if "%z" in form or "%Z" in form else self._in_utc(parsed)

    def _ordered(self, filled: str) -> str:
        """Return SQL for a text with its day and month in the order of ISO, where the day is known to stand first."""
        if not self.writing.day_first:
            return filled
        year = f"try_cast(regexp_extract({filled}, '{_DAY_FIRST_SHORT}', 3) as integer)"
        century = f"case when {year} >= {_FIRST_OF_LAST_CENTURY} then '19' else '20' end"
        short = rf"concat({century}, regexp_replace({filled}, '{_DAY_FIRST_SHORT}', '\3-\2-\1'))"
        return (
            rf"case when regexp_matches({filled}, '{_DAY_FIRST_SHORT}') then {short} "
            rf"else regexp_replace({filled}, '{_DAY_FIRST}', '\3-\2-\1') end"
        )


def _count(filled: str) -> str:
    return f"try_cast({filled} as ubigint)"
