"""Texts in the reader's language: which one, how sentences are recognised, and what stays English."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from string import Formatter
from typing import Any

import pytest
from program import run
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.differential.rules import load_rules
from edgeleuk.differential.verdict import Verdict
from edgeleuk.errors import OutputError
from edgeleuk.quality.assessment import load_limits
from edgeleuk.render import terminal
from edgeleuk.render.tables import RESEARCH_USE
from edgeleuk.system import language, sentences
from edgeleuk.system.language import figure, ngettext, speaking
from edgeleuk.system.sentences import guarded, said

OTHERS = [code for code in language.codes() if code != language.SOURCE]


@pytest.fixture(autouse=True)
def english_afterwards() -> Any:
    """The language of a command in this process ends with the test."""
    yield
    language.use(language.SOURCE)


def test_french_and_urdu_ship() -> None:
    """English needs no catalogue."""
    assert language.codes() == ("en", "fr", "ur")
    assert [language.load(code).direction for code in language.codes()] == ["ltr", "ltr", "rtl"]


@pytest.mark.parametrize("code", OTHERS)
def test_the_texts_of_a_catalogue_can_be_listed(code: str) -> None:
    """Templates are found among what gettext has read."""
    assert len(language.load(code).entries) > 400


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "fr_CM.UTF-8"}, "fr"),
        ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "ur_PK"}, "ur"),
        ({"LC_MESSAGES": "ur_PK", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LC_ALL": "en_GB.UTF-8", "EDGELEUK_LANG": "fr"}, "fr"),
        ({"LANG": "sw_KE.UTF-8"}, "en"),
        ({"EDGELEUK_LANG": "", "LANG": "fr@euro"}, "fr"),
    ],
)
def test_the_environment_chooses(environment: dict[str, str], code: str) -> None:
    """The first variable that is set counts; a language that is not there is English."""
    assert language.from_environment(environment) == code


@pytest.mark.parametrize(
    "arguments", [["--lang", "fr", "schema"], ["schema", "--lang=fr_FR"], ["schema", "--lang", "fr"]]
)
def test_the_option_stands_before_or_after_the_command(arguments: list[str]) -> None:
    """It is the same for every command."""
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert language.current().code == "fr"


@pytest.mark.parametrize("wanted", ["xx", ""])
def test_an_unknown_language_names_those_that_exist(wanted: str) -> None:
    """Exit code 2, one line."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeleuk", "schema", "--lang", wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: there is no language {wanted!r}. Languages here: en (English), fr (français), ur (اردو).\n"
    )


def test_a_variable_that_names_no_language_is_told_once() -> None:
    """The program goes on in English; a locale without a catalogue is no mistake."""
    told = run("schema", EDGELEUK_LANG="xx")
    assert (told.returncode, told.stderr) == (
        0,
        "warning: EDGELEUK_LANG is 'xx', and there is no such language: this is English. "
        "Languages here: en (English), fr (français), ur (اردو).\n",
    )
    assert run("schema", EDGELEUK_LANG="", LC_ALL="sw_KE.UTF-8").stderr == ""
    assert run("--lang", "fr", "schema", EDGELEUK_LANG="xx").stderr == ""


@pytest.mark.parametrize(
    ("words", "french"),
    [
        (["analyze", "--bogus"], "Option inconnue : --bogus (options possibles : --out)."),
        (["sessions", "shwo"], "Commande inconnue : « shwo ». Vouliez-vous dire 'show' ?"),
        (["live", "--target", "x"], "Valeur refusée pour --target : ce doit être un nombre entier."),
        (["sessions", "show"], "Il manque l'argument SLIDE."),
    ],
)
def test_mistakes_in_the_command_line_are_told_in_the_language(words: list[str], french: str) -> None:
    """As errors of this program; exit code 2 in every language."""
    told = run(*words, EDGELEUK_LANG="fr")
    assert told.returncode == run(*words).returncode == 2
    assert told.stderr.startswith(f"erreur : {french}")
    assert told.stderr.endswith(" --help` en dit plus.\n")


@pytest.mark.parametrize(
    ("english", "french"),
    [
        (
            "cannot read /x: No such file or directory. Check the path.",
            "impossible de lire /x : fichier ou dossier introuvable. Vérifiez le chemin.",
        ),
        (
            "http://a/b does not answer in time. Opening it again.",
            "http://a/b ne répond pas à temps. Nouvelle ouverture.",
        ),
        (
            "no session x. Sessions here: a, b. `edgeleuk sessions list` shows them. Slides here: S.",
            "pas de session x. Sessions ici : a, b. `edgeleuk sessions list` les montre. Lames ici : S.",
        ),
        (
            "no 100x model 9 is installed. Installed: none. `edgeleuk models list` shows them.",
            "aucun modèle 100x 9 n'est installé. Installés : aucun. `edgeleuk models list` les montre.",
        ),
    ],
)
def test_errors_are_recognised_with_what_stands_in_them(english: str, french: str) -> None:
    """Reasons of the system, lists that are empty, and sentences that were added."""
    with speaking("fr"):
        assert said(english).replace("\N{NO-BREAK SPACE}", " ") == french


def test_english_stays_as_it_is_written() -> None:
    """No catalogue is asked."""
    assert said("2 cells read as blasts.") == "2 cells read as blasts."
    assert guarded(RESEARCH_USE) == RESEARCH_USE
    assert figure("1,234.5") == "1,234.5"


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("1 white cell recognised. Count 99 more.", "Reconnus : 1 leucocyte. Comptez-en 99 de plus."),
        (
            "1 cell read as a blast. This may be a reading error: look at it. See demo.jpg cell 4.",
            "1 cellule avec la lecture « blaste ». C'est peut-être une erreur de lecture : regardez-la."
            " Voir demo.jpg cellule 4.",
        ),
        (
            "3 cells read as immature granulocytes, more than reading errors explain. Confirm under the microscope."
            " Left shift.",
            "3 cellules avec la lecture « granulocytes immatures », plus que les erreurs de lecture n'en expliquent."
            " À confirmer au microscope. Myélémie (déviation à gauche).",
        ),
        (
            "No blasts, promonocytes or plasma cells recognised. Up to 1.5 % of each is possible.",
            "Non reconnus : blastes, promonocytes ou plasmocytes. Jusqu'à 1,5 % de chacun est possible.",
        ),
        (
            "No picture could be used: focus 3, dark 1. Take them again.",
            "Aucune image n'a pu être utilisée : flou 3, sombre 1. Reprenez-les.",
        ),
        (
            "See a.jpg cell 4, 7; b.jpg cell 2 and 3 more.",
            "Voir a.jpg cellule 4, 7 ; b.jpg cellule 2 et 3 autres.",
        ),
        (
            "What nobody translated. Nothing was done; the count goes on.",
            "What nobody translated. Rien n'a été fait ; le comptage continue.",
        ),
    ],
)
def test_finished_sentences_are_recognised(english: str, french: str) -> None:
    """With their numbers, names and lists, one sentence after another."""
    with speaking("fr"):
        assert said(english).replace("\N{NO-BREAK SPACE}", " ") == french


def test_a_refusal_is_recognised_with_its_reasons() -> None:
    """The name of the file and the option stay as they are."""
    rule = next(rule for rule in load_limits().rules if rule.code == "dark")
    finding = rule.finding(12.5, "100x")
    assert finding
    with speaking("fr"):
        assert said(f"dark.jpg is refused: {finding.text} --force analyses it all the same.") == (
            "dark.jpg est refusée : elle est sombre : la lame vide a 12,5 % de la pleine luminosité, et devrait avoir plus"
            " de 24 %. Augmentez la lampe ou l'exposition. --force l'analyse quand même."
        )


@pytest.mark.parametrize("name", ["blast", "focus.jpg", "no smear", "2 cells", "a: b. c"])
def test_a_file_name_is_no_text(name: str) -> None:
    """A placeholder for texts from outside gives them back as they are."""
    with speaking("fr"):
        assert f"{name} :" in said(
            f"cannot write {name}: full. Free some space, or name another place."
        ).replace("\N{NO-BREAK SPACE}", " ") or name in ("no smear", "2 cells", "a: b. c")


@pytest.mark.parametrize("code", OTHERS)
def test_every_template_is_recognised_as_itself(code: str) -> None:
    """No other template takes its place; each form of the plural is reached."""
    chosen = language.load(code)
    for text in {key[0] if isinstance(key, tuple) else key for key in chosen.entries}:
        if "\x04" in text or "{" not in text or sum(map(str.isalpha, re.sub(r"\{\w*\}", "", text))) < 8:
            continue
        names = [name for _, name, _, _ in Formatter().parse(text) if name]
        for n in ("1", "7"):
            values = {
                name: n if name in sentences.FORMS else f"Qx{place}" for place, name in enumerate(names)
            }
            plural = (text, 0) in chosen.entries
            form = chosen.translations.ngettext(text, text, int(n)) if plural else chosen.entries[text]
            with speaking(code):
                assert said(text.format(**values)) == form.format(**values), text


def test_plural_forms_are_those_of_the_language() -> None:
    """None is singular in French and plural in English."""
    assert ngettext("{n} white cell", "{n} white cells", 0) == "{n} white cells"
    with speaking("fr"):
        assert ngettext("{n} white cell", "{n} white cells", 0) == "{n} leucocyte"
        assert ngettext("{n} white cell", "{n} white cells", 2) == "{n} leucocytes"


def test_numbers_are_written_as_in_the_language() -> None:
    """French has a comma, and a space between thousands."""
    with speaking("fr"):
        assert figure("12,345.6 um") == "12\N{NO-BREAK SPACE}345,6 um"
    with speaking("ur"):
        assert figure("12,345.6 um") == "12,345.6 um"


def test_english_stands_beside_an_unchecked_safety_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a native reader has signed the catalogue."""
    verdict = Verdict("look_again", "1 cell read as a blast. This may be a reading error: look at it.")
    with speaking("fr") as french:
        line = terminal.verdict_line(verdict).plain
        assert line.startswith(" À REVOIR [LOOK AGAIN]") and line.endswith(f"[{verdict.text}]")
        assert french.checked_by == ""
        monkeypatch.setitem(
            vars(language), "current", lambda: replace(french, checked_by="A. Reader, 2026-12-01")
        )
        monkeypatch.setattr(sentences, "current", language.current)
        assert sentences.guarded(RESEARCH_USE) == "Pour la recherche uniquement. Pas un diagnostic."


def test_an_error_is_kept_in_english() -> None:
    """It is translated only where it is shown."""
    error = OutputError("cannot write /x: full. Free some space, or name another place.")
    with speaking("fr"):
        assert str(error).startswith("cannot write")
        assert said(str(error)).startswith("impossible d'écrire")


def test_what_programs_read_is_english_in_every_language() -> None:
    """JSON is the same byte for byte but for the run's own id and times."""

    def document(code: str) -> Any:
        arguments = ["--lang", code, "analyze", "--demo", "--json", "--no-keep", "--um-per-px", "0.0984"]
        told = json.loads(CliRunner().invoke(app, arguments).stdout)
        del told["result"]
        for each in told["images"]:
            del each["seconds"], each["at"]
        return told

    assert document("ur") == document("en")


def test_rules_of_a_laboratory_are_shown_as_it_wrote_them() -> None:
    """A text that no catalogue has stays."""
    assert load_rules().verdict.texts.cells == "See {list}."
    with speaking("ur"):
        assert said("Regardez vous-même.") == "Regardez vous-même."
