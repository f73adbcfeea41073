"""Writes the catalogues of translations: `python deploy/catalogues.py`.

It collects every English text that a field worker reads, updates `edgeleuk/locale/*.po` and compiles them to `*.mo`. With
`--check` it writes nothing and fails where a catalogue is out of date. Needs `babel`. To add a language:
`python deploy/catalogues.py --new fr`, then translate `edgeleuk/locale/fr.po`.

It reads every module that ENGLISH does not name. A string in a module of SHOWN stands inside `_`, `ngettext`, `msgid` or
`word`, or is named in NOT_SHOWN. In any other module every string of two words or more is a message, and every string that
is printed or raised; f-strings become templates with named placeholders, as `edgeleuk.system.sentences` recognises them.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import EACCES, EEXIST, EIO, EISDIR, ENOENT, ENOSPC, ENOTDIR, EPERM, EROFS
from itertools import product
from pathlib import Path
from typing import Any, get_args

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from edgeleuk.counting.state import Verdict  # noqa: E402  # of this working copy
from edgeleuk.differential.per_microlitre import NAMES as NAMES_OF_CELLS  # noqa: E402
from edgeleuk.programme.figures import MEASURES  # noqa: E402
from edgeleuk.render._words import flag_title  # noqa: E402
from edgeleuk.render.quality_control import PLATELETS, SCALE  # noqa: E402
from edgeleuk.sources.camera import CameraWord  # noqa: E402
from edgeleuk.types import NOT_A_CELL, UNCLASSIFIED, spoken  # noqa: E402

PACKAGE = ROOT / "edgeleuk"
LOCALE = PACKAGE / "locale"
SHOWN = (
    "console/findings.py", "console/help.py", "console/layout.py", "console/parts.py", "console/screen.py",
    "console/summary.py", "console/table.py", "programme/funnel_svg.py", "programme/page.py", "render/_words.py",
    "render/doctor.py", "render/learning.py", "render/leftout.py", "render/levey_jennings.py",
    "render/levey_jennings_page.py", "render/models.py", "render/profiles.py", "render/quality_control.py",
    "render/report/page.py", "render/sessions.py", "render/terminal.py",
)  # fmt: skip
"""Modules whose strings reach a screen directly: every one is marked, or named in NOT_SHOWN."""
ENGLISH: dict[str, str] = {
    "cli/__init__.py": "help",
    "cli/bench.py": "a command for engineers",
    "cli/eval*.py": "commands of the laboratory",
    "cli/schema.py": "a command for programmers",
    "cli/simulate.py": "a command for engineers",
    "cli/train.py": "commands of the laboratory",
    "doctor/bench.py": "for engineers",
    "doctor/bundle.py": "the support archive",
    "lab/evaluation/*.py": "evaluation, for engineers",
    "lab/importing/findings.py": "the report on a data set, for engineers",
    "lab/importing/labels.py": "what is wrong in a file of labels",
    "lab/importing/merging.py": "notes of the report on a data set",
    "lab/importing/release.py": "what is wrong in a file of labels",
    "lab/importing/vocabulary.py": "names of a data set",
    "lab/render/*.py": "reports for engineers",
    "lab/training/*.py": "training, for engineers",
    "console/preview_window.py": "Tk shows it with fonts of its own",
    "console/systemd_watchdog.py": "the log of the service",
    "render/overlay.py": "text burnt into pictures",
    "render/report/_observations.py": "FHIR",
    "render/report/_resources.py": "FHIR",
    "render/report/codes.py": "FHIR and LOINC",
    "render/report/fhir.py": "FHIR",
    "render/report/plain.py": "FHIR and the text that it carries",
    "results/codec/*.py": "what is wrong inside a damaged record, for support",
    "simulation/*.py": "for engineers",
    "statistics/*.py": "faults of the program",
    "web/openapi.py": "the description of the API",
    "web/wire.py": "faults of a connection, for programs",
    "web/worker.py": "faults of the program",
}
"""Patterns of modules whose texts stay English, with the reason."""
TEMPLATES: tuple[str, ...] = ("render/report/templates/*.html", "web/templates/*.html", "web/static/*.js")
"""Patterns of templates and scripts of pages."""
MARKS = {"_": 1, "msgid": 1, "ngettext": 2, "pgettext": 2, "spoken": 1, "word": 1}
"""Functions that mark texts, with the number of texts that they take."""
NAMING = {"spoken", "word"}
"""Those of them that mark names."""
NAMES = "name"
OWN_FIELDS = ("X-Language-Name", "X-Checked-By", "X-Direction", "X-Decimal", "X-Group", "X-Percent", "X-Date")
"""Fields of a catalogue's header that this project adds.

`X-Checked-By` names the native reader who checked the translation, with the date; until then English stands beside every
sentence that safety depends on.
"""
STYLE = re.compile(
    r"(?:(?:not )?(?:bold|dim|black|white|red|green|yellow|blue|cyan|magenta|on|reverse|italic|\{\w*\})\s*)+"
)
"""Styles of rich."""
CODE = re.compile(r"[\W\d_]*(?:(?:um|px|um2|mm2|x|n|k|M|G|a|h|s|min|uL)\b[\W\d_]*)*")
"""Texts without a word: punctuation, units, keys."""
TECHNICAL = re.compile(
    r"charset=|'none'|filename=|=\(\)|HttpOnly|Accept-Encoding|Connection: close|<code dir=|class="
    r"|\n  edgeleuk |^\s*edgeleuk |^(?:sudo|ps|git|pip) |^# "
)
"""Parts of header fields and of pages, and commands that stand alone."""
SQL = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|CREATE|ALTER|DROP|DELETE|PRAGMA|WHERE|AND|NOT INDEXED|\{select\})\b|\s*\{select\}"
)
"""Statements for the database."""
SAYING = {"tell", "warn", "progress_bar", "instead", "report", "said", "step"}
"""Functions that show a text, however short it is; so do the constructors of errors."""
PREDICATE = re.compile(
    r"(?:is|are|has|does|wants|gives|sends|answers|refuses|cannot be|moves|says|holds|was|keeps|lacks)[ ,]"
)
"""Beginning of a text that is said of a source or a file."""
PREDICATED = "sources/"
"""Modules whose texts may lack their subject, which is put before them in one place."""
QUIET_ARGUMENTS = {
    "style",
    "justify",
    "header_style",
    "title_align",
    "title_justify",
    "help",
    "epilog",
    "overflow",
    "end",
    "sep",
}
"""Keyword arguments that are no texts."""
QUIET_CALLS = {
    "compile", "field", "getattr", "partition", "removesuffix", "replace", "rpartition", "split", "startswith", "endswith",
    "strip", "join", "get", "option", "command", "execute", "Option", "Argument", "counted_text", "Counter", "TypeVar",
}  # fmt: skip
"""Methods and functions whose positional texts are no texts for people."""
QUIET_NAMES = {"_STYLE", "FONTS", "SCHEMA", "__all__", "COLUMNS"}
"""Names of constants that are no texts for people."""
NOT_SHOWN: dict[str, frozenset[str]] = {
    "": frozenset({"Esc", "um/px", "edgeleuk live", "edgeleuk live ", "held-back errors", "rb", "utf-8"}),
    "console/parts.py": frozenset({"p", "c", "u", "q", "y", "paused"}),
    "console/help.py": frozenset({"u"}),
    "console/table.py": frozenset({"artefact"}),
    "programme/funnel_svg.py": frozenset(
        {
            "M{value} {value_2}L{value_3} {value_4}M{value_5} {value_6}L{value_7} {value_8}",
            "#b00020",
            "#c58b00",
            "#fff",
            "start",
            "middle",
            "end",
        }
    ),
    "programme/page.py": frozenset({'<p class="note">{safe}edgeleuk {__version__}. {guarded_markup}</p>'}),
    "render/learning.py": frozenset(
        {"agreement_of_views", "sure_in_all_views", "blast_like", "guard_cells", "before", "after"}
    ),
    "render/levey_jennings.py": frozenset({"v"}),
    "render/levey_jennings_page.py": frozenset(
        {
            "M{value} {value_2}L{value_3} {value_4}M{value_5} {value_6}L{value_7} {value_8}",
            "#b00020",
            "#c58b00",
            "#ddd",
            "#fff",
            ' stroke-dasharray="6 4"',
        }
    ),
    "render/models.py": frozenset(
        {
            "map50",
            "map",
            "accuracy",
            "accuracy5",
            "attribute_macro_f1",
            "model.json",
            "annotated",
            "predicted",
        }
    ),
    "render/quality_control.py": frozenset({"platelets/1,000 red", "um per pixel"}),
    "render/sessions.py": frozenset(
        {
            "crops/{folder}/{identity}-{number}.jpg",
            "field",
            "cell",
            "fresh",
            "marked",
            "type",
            "accepted",
            "warned",
            "refused",
            "unread",
            "[^A-Za-z0-9_-]+",
        }
    ),
    "device/profiles.py": frozenset(
        {
            "of the pictures it was measured on, pixels",
            "micrometres per pixel of such a picture; relative_error is half of the 95 % interval",
            "red, green, blue: levels of the empty slide, optical densities (ln) of cells",
            "how good smear fields of this device measure",
            "the empty slide over the field, 8-bit levels, from the upper left corner",
        }
    ),
    "sources/capture.py": frozenset({"the capture has not begun: use it in a `with` statement"}),
    "system/machine.py": frozenset({"model name"}),
    "render/_words.py": frozenset({"AEIOUY", "µ", r"(?<=\d )u(?=m2?\b|L\b)|(?<=per )u(?=L\b)|\bu(?=m per )"}),
    "render/report/page.py": frozenset(
        {
            "_",
            "DejaVu",
            "SHA-256 {sha}",
            "edgeleuk {program}",
            "utf-8",
            "templates",
            "report.css",
            "report.html",
            "when",
            "spoken",
            "said",
            "guarded",
            "word",
            "ngettext",
            "language",
            "marked cell",
            "picture",
            "UTC",
            "UTC{value}:{value_2}",
            "data:image/jpeg;base64,{image}",
            "#ffe3e0",
            "#fff0c2",
            "#e3f0fc",
            "#e6f4e7",
            ' <span class="english" lang="en" dir="ltr">{}</span>',
        }
    ),
    "render/terminal.py": frozenset({"white cell", "red cell", "platelet"}),
}
"""Strings of SHOWN modules that are no texts for people, such as codes; "" holds for every module."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text for the catalogues."""

    english: str
    where: str
    plural: str = ""
    context: str = ""


@dataclass(frozen=True, slots=True)
class Unmarked:
    """String that may reach a screen without a catalogue."""

    text: str
    where: str


def _quiet(tree: ast.AST) -> set[int]:
    """Return the nodes below which no text is for people."""
    quiet: set[int] = set()

    def hush(node: ast.AST) -> None:
        quiet.update(id(each) for each in ast.walk(node))

    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            hush(node.value)
        elif isinstance(node, ast.Subscript):
            hush(node.slice)
        elif isinstance(node, ast.Compare):
            for each in (node.left, *node.comparators):
                if isinstance(each, ast.Constant | ast.Tuple | ast.Set):
                    hush(each)
        elif isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant):
                    hush(key)
        elif isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id in QUIET_NAMES for each in node.targets
        ):
            hush(node.value)
        elif isinstance(node, ast.AnnAssign) or (isinstance(node, ast.arg) and node.annotation):
            hush(node.annotation)
        elif isinstance(node, ast.FunctionDef) and node.returns:
            hush(node.returns)
        elif isinstance(node, ast.match_case):
            hush(node.pattern)
        elif isinstance(node, ast.FormattedValue) and node.format_spec:
            hush(node.format_spec)
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in QUIET_ARGUMENTS:
                    hush(keyword.value)
            if _name(node) in QUIET_CALLS:
                for each in node.args:
                    if isinstance(each, ast.Constant):
                        hush(each)
                if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant):
                    hush(node.func.value)
    return quiet


def _name(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _marked(tree: ast.AST, where: str) -> Iterator[tuple[Text, set[int]]]:
    """Yield the texts inside marking calls, each with its nodes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in MARKS:
            continue
        values = [
            str(each.value) for each in node.args[: MARKS[node.func.id]] if isinstance(each, ast.Constant)
        ]
        if len(values) < MARKS[node.func.id]:
            continue
        place, nodes = f"{where}:{node.lineno}", {id(each) for each in ast.walk(node)}
        if node.func.id == "pgettext":
            yield Text(values[1], place, context=values[0]), nodes
        else:
            yield (
                Text(*values[:1], place, *values[1:], context=NAMES if node.func.id in NAMING else ""),
                nodes,
            )


def _placeholder(node: ast.expr, taken: set[str]) -> str:
    """Return a name for the value of an f-string."""
    if isinstance(node, ast.Name):
        name = node.id
    elif isinstance(node, ast.Attribute):
        name = node.attr
    elif isinstance(node, ast.Call):
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and _name(node) in ("option", "command"):
            name = f"{_name(node)}_" + re.sub(r"\W", "_", str(first.value))
        elif _name(node) in ("len", "sum", "abs", "round"):
            name = "n"
        else:
            name = _name(node).strip("_") or "value"
    else:
        name = "value"
    number, base = 2, name
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def _templates(node: ast.JoinedStr) -> Iterator[str]:
    """Yield an f-string as templates: one for each choice between two constants inside it."""
    taken: set[str] = set()
    parts: list[tuple[str, ...]] = []
    for each in node.values:
        if isinstance(each, ast.Constant):
            parts.append((_escaped(str(each.value)),))
        elif isinstance(each, ast.FormattedValue):
            value = each.value
            if isinstance(value, ast.IfExp) and all(
                isinstance(branch, ast.Constant) for branch in (value.body, value.orelse)
            ):
                parts.append((str(value.body.value), str(value.orelse.value)))
            elif (
                isinstance(value, ast.BinOp)
                and isinstance(value.op, ast.Mult)
                and isinstance(value.left, ast.Constant)
                and isinstance(value.left.value, str)
            ):
                parts.append((value.left.value, ""))
            else:
                parts.append((f"{{{_placeholder(value, taken)}}}",))
    for chosen in product(*parts):
        yield "".join(chosen)


def _escaped(text: str) -> str:
    """Return the constant part of an f-string; a name in its braces is filled in elsewhere."""
    doubled = text.replace("{", "{{").replace("}", "}}")
    return re.sub(r"\{\{(\w+)\}\}", r"{\1}", doubled)


def _is_prose(text: str) -> bool:
    plain = re.sub(r"\{\w*\}", " 0 ", text)
    return len(re.findall(r"(?<![\w/.-])[A-Za-z']{2,}(?![\w/])", plain)) >= 2 and " " in text.strip()


def _strings(tree: ast.AST, skip: set[int]) -> Iterator[tuple[ast.expr, tuple[str, ...]]]:
    """Yield every string with its templates; the parts of an f-string belong to it."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(each) for each in node.values if isinstance(each, ast.Constant))
            for each in node.values:
                if isinstance(each, ast.FormattedValue) and isinstance(each.value, ast.IfExp):
                    inside.update(id(branch) for branch in (each.value.body, each.value.orelse))
            if id(node) not in skip:
                yield node, tuple(_templates(node))
    for node in ast.walk(tree):
        if id(node) in inside or id(node) in skip:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, (_named(node.value),)


def _named(text: str) -> str:
    """Return a text that is formatted elsewhere with a name for each of its placeholders."""
    text = re.sub(r"(?<!\{)\{(\w*)(?::[^}]*)?\}(?!\})", lambda found: f"{{{found[1] or 'value'}}}", text)
    for name in ("value", "value_2", "value_3"):
        text = text.replace("%s", f"{{{name}}}", 1)
    return text


def of_module(path: Path, *, told: bool) -> tuple[list[Text], list[Unmarked]]:
    """Return the texts of a module, and its strings that are outside of the catalogues, see `of_source`."""
    return of_source(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix(), told=told)


def of_source(source: str, where: str, *, told: bool) -> tuple[list[Text], list[Unmarked]]:
    """Return the texts of Python source, and its strings that are outside of the catalogues.

    Args:
        source: Source of a module.
        where: Its path.
        told: Take every string of two words or more as a message.
    """
    tree = ast.parse(source)
    texts, skip = [], _quiet(tree)
    for text, nodes in _marked(tree, where):
        texts.append(text)
        skip |= nodes
    unmarked, shown = [], _shown(tree)
    name = where.removeprefix("edgeleuk/")
    quiet = NOT_SHOWN.get("", frozenset()) | NOT_SHOWN.get(name, frozenset())
    for node, templates in _strings(tree, skip):
        for template in templates:
            place = f"{where}:{node.lineno}"
            if template in quiet:
                continue
            if told:
                if _is_message(template, short=id(node) in shown):
                    texts.append(
                        Text(
                            _with_subject(_apart(template))
                            if name.startswith(PREDICATED)
                            else _apart(template),
                            place,
                        )
                    )
            elif not CODE.fullmatch(
                re.sub(r"\{\w*\}|um/px|<[^>]*>?|^[^<>]*>", "", template)
            ) and not STYLE.fullmatch(template):
                unmarked.append(Unmarked(template, place))
    return texts, unmarked


def _shown(tree: ast.AST) -> set[int]:
    """Return the strings that are printed or raised as they are."""
    return {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (_name(node) in SAYING or _name(node).endswith("Error"))
        for each in node.args
        if isinstance(each, ast.Constant | ast.JoinedStr)
    }


def _is_message(template: str, *, short: bool) -> bool:
    """Return whether a text is for people; `short`: one word is enough."""
    if STYLE.fullmatch(template) or TECHNICAL.search(template) or SQL.match(template):
        return False
    plain = re.sub(r"\{\w*\}", "0", template)
    return _is_prose(template) or (short and bool(re.search(r"(?<![\w/.-])[a-z]{4,}", plain)))


def _with_subject(template: str) -> str:
    return f"{{subject}} {template}" if PREDICATE.match(template) else template


def _apart(template: str) -> str:
    """Return a text without the space that joins it to the sentence before it."""
    return template[1:] if re.match(r" [A-Z]", template) else template


def of_page(path: Path) -> tuple[list[Text], list[Unmarked]]:
    """Return the texts of a template or script, and its strings that are outside of the catalogues."""
    where, source = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    if path.suffix == ".js":
        found = re.finditer(r'\bt\("((?:[^"\\]|\\.)*)"', source)
        texts = [Text(json.loads(f'"{each[1]}"'), where) for each in found]
        plain = re.sub(r'\bt\("(?:[^"\\]|\\.)*"', "", re.sub(r"//.*", "", source))
        prose = re.findall(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\])*)`', plain)
        return texts, [Unmarked(each, where) for pair in prose for each in pair if _is_script_text(each)]
    texts = []
    options = {"trimmed": "true", "silent": "false", "newstyle_gettext": "true", "trim_blocks": "true"}
    for line, function, messages, _ in babel_extract(
        io.BytesIO(source.encode()), ("_", "guarded", "ngettext", "pgettext", "word"), [], options
    ):
        if messages is None:  # what is translated is a value
            continue
        one, *more = (messages,) if isinstance(messages, str) else [each for each in messages if each]
        context = NAMES if function == "word" else ""
        if function == "pgettext":
            context, one, more = one, more[0], []
        texts.append(Text(one, f"{where}:{line}", *more[:1], context=context))
    return texts, list(_page_text(source, where))


def _is_script_text(text: str) -> bool:
    return bool(re.match(r"[A-Z][a-z]+ |[A-Z].*[.?]$", re.sub(r"\$\{[^}]*\}", "0", text)))


def _page_text(source: str, where: str) -> Iterator[Unmarked]:
    """Yield words of a template that stand outside of its expressions and translated blocks."""
    plain = re.sub(r"\{%-? *trans\b.*?endtrans *-?%\}", "", source, flags=re.DOTALL)
    plain = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "\x00", plain, flags=re.DOTALL)
    for name, value in re.findall(r'(aria-label|alt|title|placeholder)="([^"]*)"', plain):
        if re.search(r"[A-Za-z]{2,}", value):
            yield Unmarked(f"{name}: {value}", where)
    plain = re.sub(r"<(kbd|code|script|style)\b[^>]*>[^<]*</\1>", "", plain)
    for part in re.sub(r"<[^>]*>", "\n", plain).split("\n"):
        words = part.replace("\x00", "").strip()
        if re.search(r"[A-Za-z]{2,}", words) and words not in ("edgeleuk", "- edgeleuk", "PIN", "review"):
            yield Unmarked(words, where)


def of_data() -> Iterator[Text]:
    """Yield the texts of the rules, of the reference ranges and of the models."""
    rules = tomllib.loads((PACKAGE / "data" / "rules.toml").read_text(encoding="utf-8"))
    where = "edgeleuk/data/rules.toml"
    for group in rules["groups"]:
        yield Text(group["one"], where, context=NAMES)
        yield Text(group["many"], where, context=NAMES)
        yield Text(group["many"][:1].upper() + group["many"][1:], where, context=NAMES)
    for table in (
        rules["adequacy"], rules["presence"], rules["threshold"], rules["range"], rules["statement"],
        *rules["ratios"], rules["verdict"]["texts"], *rules["presence"]["rules"],
    ):  # fmt: skip
        for key, text in table.items():
            if isinstance(text, str) and key not in ("code", "severity", "label", "group"):
                yield Text(text, where, text if "{n}" in text else "")
    for text in (*rules["verdict"]["foreign"].values(), "it", "them", "1 white cell"):
        yield Text(text, where, context="" if text[0] == "1" else NAMES)
    for text in ("{n} cells", "{n} white cells"):
        yield Text(text, where, text)
    yield Text("1 cell", where)
    yield Text(", and {n} more read so", where)
    yield Text("{picture} cell {numbers}", where)
    for text in ("{done} analysed, {list}", "{n} not"):
        yield Text(text, "edgeleuk/cli/analyze.py")
    yield Text("The program does not look for {list}.", where)
    for part in rules["verdict"]["not_looked_for"].split(", "):
        yield Text(part, where, context=NAMES)
    for text in (", ", " or ", " and ", "; ", ": ", "."):
        yield Text(text, "lists")
    limits = tomllib.loads((PACKAGE / "data" / "quality.toml").read_text(encoding="utf-8"))
    for rule in limits["rules"]:
        yield Text(rule["text"], "edgeleuk/data/quality.toml")
        yield Text(rule["code"], "edgeleuk/data/quality.toml", context=NAMES)
    ranges = tomllib.loads((PACKAGE / "data" / "reference_adult.toml").read_text(encoding="utf-8"))
    yield Text(ranges["name"], "edgeleuk/data/reference_adult.toml", context=NAMES)
    for each in ranges["ranges"]:
        yield Text(each["name"].capitalize(), "edgeleuk/data/reference_adult.toml", context=NAMES)
    yield from _codes(rules, ranges)
    for path in sorted(ROOT.glob("models/*/model.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        reader, where = manifest["reader"], path.relative_to(ROOT).as_posix()
        for name in manifest["finder"]["classes"]:
            yield Text(name, where, context=NAMES)
        for each in (manifest.get("real_slides") or {}).get("slides", {}).values():
            for name in each["leading"].values():
                yield Text(spoken(name or "nothing"), where, context=NAMES)
        for label in (*reader["labels"], *reader.get("types", ())):
            yield Text(spoken(label), where, context=NAMES)
        for attribute, values in reader["attributes"].items():
            for name in (attribute, *values):
                yield Text(spoken(name), where, context=NAMES)


def _codes(rules: Any, ranges: Any) -> Iterator[Text]:
    """Yield the names of flags, of states of a live count, and of other codes that are shown as words."""
    where = "edgeleuk/data/rules.toml"
    codes = [rules["adequacy"]["code"], *(each["code"] for each in rules["ratios"])]
    for rule in rules["presence"]["rules"]:
        codes += [f"{rule['code']}_PRESENT", f"{rule['code']}_SUSPECT"]
    for rule in rules["threshold"]["rules"]:
        codes += [rule["code"], f"{rule['code']}_POSSIBLE"]
    for each in ranges["ranges"]:
        codes += [f"{each['code']}_HIGH", f"{each['code']}_LOW"]
    codes += [
        "BLAST_LIKE",
        "BLAST_LIKE_UNKNOWN",
        "DOUBTFUL_PICTURES",
        "NOT_RECOGNISED",
        "TOO_FEW_CELLS",
        "NO_WHITE_CELLS",
    ]
    codes += ["NO_PICTURES", "CONTROL_FAILED", "CONTROL_OVERDUE", "COARSE", "DOMAIN", "EMPTY", "OBJECTIVE"]
    for code in codes:
        yield Text(flag_title(code), where, context=NAMES)
    for name in (*get_args(Verdict), *get_args(CameraWord)):
        yield Text(name, "edgeleuk/counting/state.py", context=NAMES)
    for name in ("ends", "goes on", "marks it", "leaves it", "slide id", "it", "them"):
        yield Text(name, "edgeleuk/counting/requests.py", context=NAMES)
    for name in (
        "running", "finished", "interrupted", "preliminary", "final", "amended", "reclassify", "looked at", "add", "note", "undo",
        "sign", "amend",
    ):  # fmt: skip
        yield Text(name, "edgeleuk/review/states.py", context=NAMES)
    for name in (UNCLASSIFIED, NOT_A_CELL, "artefact", "given", "red cells", "profile", "annotation"):
        yield Text(spoken(name), "edgeleuk/types.py", context=NAMES)
    for name in NAMES_OF_CELLS.values():
        yield Text(name, "edgeleuk/differential/per_microlitre.py", context=NAMES)


CHECKS = (
    "processor", "memory", "python", "libraries", "optional parts", "models", "model", "installed", "camera", "cameras", "picamera2",
    "groups", "sessions", "disk", "write speed", "clock", "power", "temperature",
)  # fmt: skip
"""Names of the checks of `doctor`."""
CONFLICTS = ("diverged", "duplicate", "cloned", "same_device", "clock", "unnamed")


MISTAKES = (
    "No such option: {option_wrong}",
    "No such option: {option_wrong} (Possible options: {options})",
    "No such command '{command}'.",
    "No such command '{command}'. Did you mean {commands}?",
    "Missing command.",
    "Missing option '{option}'.",
    "Missing argument '{argument}'.",
    "Invalid value for '{option}': {error}",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid number, unable to parse string as a number",
    "Input should be greater than or equal to {least}",
    "Input should be less than or equal to {most}",
    "Value error, '{wrong}' is not one of {choices}.",
    "Got unexpected extra argument(s) ({arguments})",
    "Option '{option}' requires an argument.",
    "Option '{option}' does not take a value.",
)
"""What the library of the command line says of mistakes in it."""


def of_commands() -> Iterator[Text]:
    """Yield names and short texts that commands put together."""
    for name in CHECKS:
        yield Text(name, "edgeleuk/doctor/findings.py", context=NAMES)
    for name in CONFLICTS:
        yield Text(name, "edgeleuk/programme/conflicts.py", context=NAMES)
    for name in (PLATELETS, SCALE, "note", "retire", "set", "run"):
        yield Text(name, "edgeleuk/render/quality_control.py", context=NAMES)
    for name in ("map50", "map", "accuracy", "accuracy5", "attribute macro f1"):
        yield Text(name, "edgeleuk/render/models.py", context=NAMES)
    for name in ("micrometer", "finder", "reader", "white cell", "red cell", "platelet", "platelet clump"):
        yield Text(name, "edgeleuk/types.py", context=NAMES)
    for name in ("operator", "site", "device", "notes", "slide", "slide id"):
        yield Text(name, "edgeleuk/sessions/facts.py", context=NAMES)
    for title in MEASURES.values():
        yield Text(title.lower(), "edgeleuk/programme/figures.py")
    yield Text("session {id}", "edgeleuk/cli/sessions.py")
    for text in ("{n} session new", "{n} sessions new"):
        yield Text(text, "edgeleuk/cli/merge.py")
    yield Text("{done}, {n} failed", "edgeleuk/cli/_batch_progress.py")
    yield Text("Opening it again.", "edgeleuk/sources/capture.py")
    yield Text('{name} "{before}" removed.', "edgeleuk/sessions/facts.py")
    for code in (ENOENT, EACCES, EPERM, ENOSPC, EISDIR, ENOTDIR, EROFS, EIO, EEXIST):
        yield Text(os.strerror(code), "edgeleuk/errors.py")
    for text in ("none", "nothing"):
        yield Text(text, "edgeleuk/system/sentences.py")
    for text in MISTAKES:
        yield Text(text, "edgeleuk/cli/_stop.py")


def texts() -> list[Text]:
    """Return all texts for the catalogues, in the order of the sources."""
    found: list[Text] = [*of_data(), *of_commands()]
    for name in SHOWN:
        found += of_module(PACKAGE / name, told=False)[0]
    for path in told():
        found += of_module(path, told=True)[0]
    for path in pages():
        found += of_page(path)[0]
    return found


def told() -> list[Path]:
    """Return the modules that make messages below the screens."""
    shown = {PACKAGE / name for name in SHOWN}
    english = {path for pattern in ENGLISH for path in PACKAGE.glob(pattern)}
    return sorted(set(PACKAGE.rglob("*.py")) - shown - english)


def pages() -> list[Path]:
    """Return the templates and scripts of pages."""
    return sorted(path for pattern in TEMPLATES for path in PACKAGE.glob(pattern))


def unmarked() -> list[Unmarked]:
    """Return the strings that reach a screen outside of the catalogues."""
    found = [each for name in SHOWN for each in of_module(PACKAGE / name, told=False)[1]]
    return found + [each for path in pages() for each in of_page(path)[1]]


def catalogue(found: Iterable[Text], path: Path) -> Catalog:
    """Return the present texts with the translations that a file has."""
    previous, own = read(path)
    catalog = Catalogue(locale=path.stem, domain="edgeleuk", fuzzy=False)
    catalog.own, catalog.plurals = own, (previous.num_plurals, previous.plural_expr)
    catalog.header_comment = f"# edgeleuk in {catalog.locale.english_name}. See CONTRIBUTING.md, A language."
    for each in found:
        key: Any = (each.english, each.plural) if each.plural else each.english
        old = previous.get(key, each.context or None)
        known = (
            old.string if old and not old.fuzzy and isinstance(old.id, str) == isinstance(key, str) else ""
        )
        file = each.where.partition(":")[0]
        catalog.add(key, known, locations=[(file, None)], context=each.context or None)
    return catalog


class Catalogue(Catalog):
    """Catalogue whose header has the fields of this project, and nothing that changes with the day."""

    own: Mapping[str, str] = {}
    plurals: tuple[int, str] = (2, "(n != 1)")

    @property
    def num_plurals(self) -> int:
        return self.plurals[0]

    @property
    def plural_expr(self) -> str:
        return self.plurals[1]

    @property
    def mime_headers(self) -> list[tuple[str, str]]:  # type: ignore[override]
        return [
            ("Language", str(self.locale_identifier)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", self.plural_forms),
            *((name, self.own.get(name, "")) for name in OWN_FIELDS),
        ]


def read(path: Path) -> tuple[Catalog, dict[str, str]]:
    """Return a catalogue with the header fields of this project."""
    source = path.read_text(encoding="utf-8")
    catalog = read_po(io.BytesIO(source.encode()), locale=path.stem, domain="edgeleuk", abort_invalid=True)
    own = {}
    for name in OWN_FIELDS:
        line = re.search(rf'^"{name}: ?(.*?)(?:\\n)?"$', source, re.MULTILINE)
        own[name] = line[1] if line else ""
    return catalog, own


def compiled(catalog: Catalog) -> tuple[bytes, bytes]:
    """Return a catalogue as `.po` and as `.mo`."""
    po, mo = io.BytesIO(), io.BytesIO()
    write_po(po, catalog, width=110, sort_output=True, include_lineno=False)
    write_mo(mo, catalog)
    return po.getvalue(), mo.getvalue()


def main(arguments: Sequence[str]) -> int:
    """Write or check the catalogues."""
    if arguments[:1] == ["--new"]:
        for code in arguments[1:]:
            (LOCALE / f"{code}.po").touch()
    found, stale = texts(), []
    for each in unmarked():
        print(f"{each.where}: outside of the catalogues: {each.text!r}")
        stale.append(each.where)
    for path in sorted(LOCALE.glob("*.po")):
        catalog = catalogue(found, path)
        for file, content in zip((path, path.with_suffix(".mo")), compiled(catalog), strict=True):
            if not file.exists() or file.read_bytes() != content:
                stale.append(file.name)
                if "--check" not in arguments:
                    file.write_bytes(content)
        missing = sum(not is_translated(each) for each in catalog if each.id)
        print(f"{path.name}: {len(catalog)} texts, {missing} not translated")
    if "--check" in arguments and stale:
        print("run `python deploy/catalogues.py` and translate what is new.")
    return int("--check" in arguments and bool(stale))


def is_translated(each: Message) -> bool:
    """Return whether a message has a translation in every form."""
    forms = each.string if isinstance(each.string, tuple | list) else (each.string,)
    return not each.fuzzy and all(forms)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
