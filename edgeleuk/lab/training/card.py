"""Model card, written from the manifest.

So no figure in it can differ from what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeleuk.statistics.intervals import Share
from edgeleuk.system.wording import command

PRECISION = 3
FEWEST = 10
"""Minimum number of cells for listing mistakes.

How often a type is mistaken cannot be estimated on fewer cells of it.
"""


def card(document: Mapping[str, Any]) -> str:
    """Return the README.md of a model folder."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    finder, reader = document["finder"], document["reader"]
    yield f"# {document['magnification']} model, version {document['version']}"
    yield ""
    yield f"Research use only. Not for diagnosis. Written by `{command('publish')}` from `model.json`; do not edit."
    yield "All figures are of the INT8 network through the runtime; intervals are exact 95 % ones (Clopper-Pearson)."
    yield ""
    yield from _real_slides(document.get("real_slides"))
    yield from _across(reader.get("across"))
    yield from _familiarity(reader)
    yield from _learning(document.get("learning"))
    yield "## Finder"
    yield ""
    yield (
        f"Boxes around {', '.join(finder['classes'])} at {finder['um_per_px']} um per pixel; INT8 (static, per channel). "
        f"Recipe `{finder['recipe']}`, seed {finder['seed']}, commit {finder['commit']}."
    )
    yield ""
    yield f"Trained on the `train` splits of {', '.join(finder['data']['fields'])}; {finder['licence_note']}"
    yield (
        f"Thresholds {_named(finder['thresholds'])} were chosen on {finder['data']['held_out']:.0%} of the training "
        "groups, kept aside."
    )
    for name, limit in finder.get("counted_to", {}).items():
        what = f"counted in pictures of up to {limit} um per pixel" if limit else "not counted at any scale"
        yield f"{name}: {what}."
    yield ""
    yield from _finder_table(finder["figures"])
    yield ""
    name, small = _first(finder["figures"])
    full = finder["figures_fp32"][name]
    yield (
        f"FP32 on {name}: mAP50 {_number(full['map50'])}, mAP50-95 {_number(full['map'])} "
        f"(INT8: {_number(small['map50'])}, {_number(small['map'])})."
    )
    yield ""
    yield "## Reader"
    yield ""
    yield (
        f"Type and attributes of one white cell, {reader['input']['size']} px at {reader['um_per_px']} um per pixel; INT8. "
        f"Recipe `{reader['recipe']}`, seed {reader['seed']}, commit {reader['commit']}."
    )
    earlier = reader.get("earlier", ())
    if earlier:
        names = (f"`{each['recipe']}`" for each in earlier)
        yield f"Its training went on from that of {', and that from '.join(names)}."
    if (views := reader["input"].get("views", 1)) > 1:
        yield f"Each cell is read in {views} quarter turns, and their mean is what counts."
    yield ""
    yield f"Types: {', '.join(reader['labels'])}. Read as another: {_named(reader['merge'])}."
    learnt = (*reader["data"]["sources"], *reader["data"].get("fields", {}))
    yield f"Trained on the `train` splits of {', '.join(learnt)}. {reader['licence_note']}"
    if slides := reader.get("learnt_slides"):
        yield f"Of real slides it learnt the counts, and the type of no cell: {', '.join(slides)}."
    yield (
        f"Under a calibrated probability of {reader['threshold']} (temperature {reader['temperature']:.2f}) a cell is "
        "not recognised."
    )
    yield ""
    yield from _doubts(reader)
    for name, figures in reader["figures"].items():
        yield from _reader_tables(name, figures, reader["figures_fp32"][name])
        yield ""
    yield from _lineage(reader.get("lineage"))
    if "source_probe" in reader:
        yield from _probe(reader["source_probe"])
    yield "## Limits"
    yield ""
    for limit in (*finder.get("limits", ()), *reader.get("limits", ())):
        yield f"- {limit}"


def _real_slides(real: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the whole model's results on real slides."""
    if real is None:
        return
    yield f"## On real slides ({real['of']})"
    yield ""
    learnt = [name for name, each in real["slides"].items() if each.get("learnt")]
    of = (
        f"The counts of {', '.join(learnt)} were learnt."
        if learnt
        else ("Each slide was read by a reader that learnt nothing of it.")
    )
    yield (
        f"Finder and reader on whole slides of patients. {of} Most of the figures below are of pictures through a simulated "
        "objective."
    )
    yield ""
    yield "| slide | annotated: led by | read: led by | blast-like, annotated | read | white cells | recognised | lineage known | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, each in real["slides"].items():
        led = [each["leading"][side] or "nothing" for side in ("annotated", "predicted")]
        blasts = [
            "" if (value := each["blast_like"][side]) is None else f"{value:.0f} %"
            for side in ("annotated", "predicted")
        ]
        unsure = each["not_recognised"]
        known = each.get("by_lineage", {}).get("not_recognised", {"share": None})
        recognised = (
            "" if part["share"] is None else f"{100 * (1 - part['share']):.0f} %" for part in (unsure, known)
        )
        code = each["verdict"]["code"].replace("_", " ")
        row = (name, *(_spoken(group) for group in led), *blasts, str(unsure["of"]), *recognised, code)
        yield f"| {' | '.join(row)} |"
    yield ""
    right = f"{real['leading_right']} of {len(real['slides'])}"
    error = real["blast_like_mae"]
    off = "" if error is None else f" The share of blast-like cells is off by {error:.0f} points in the mean."
    yield f"The leading group is right on {right}.{off}"
    yield ""


def _across(found: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the results on left-out laboratories."""
    if not found:
        return
    yield "## In laboratories it never saw"
    yield ""
    yield (
        "Each laboratory was read by a network in INT8 which never saw it and was trained on fewer cells. The published reader "
        "learnt from all of them. Mean recall is that of the mature types; blasts are blasts and "
        "promyelocytes against the rest of the laboratory."
    )
    yield ""
    yield "| laboratory | cells | mean recall | accuracy | recognised | accuracy of these | blasts | AUROC | best type is a blast's |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for laboratory, parts in found.items():
        for name in ("val", "all", "sample"):
            if name not in parts:
                continue
            own = parts[name]["by_source"][laboratory]
            blasts = own["blast_like"]
            sure = own["rejection"]
            numbers = (own["mean_recall_mature"], own["accuracy"], sure["coverage"], sure["accuracy"])
            told = (blasts["auroc"], blasts["recognised"])
            yield (
                f"| {laboratory}{', ' + name if name != 'sample' else ''} | {own['n']} | {' | '.join(map(_number, numbers))} | {blasts['n']} | "
                f"{' | '.join(map(_number, told))} |"
            )
    yield ""


def _familiarity(reader: Mapping[str, Any]) -> Iterator[str]:
    """Yield how slides of unknown laboratories are told."""
    if "known" not in reader:
        return
    known, elsewhere = reader["known"], reader.get("unknown_laboratory")
    yield "## Does it notice a laboratory it never saw?"
    yield ""
    yield (
        f"A slide is called unfamiliar if {known['cells']} white cells or more are on average as similar to the nearest of {known['of']} as less than "
        f"{100 * known['least']:.0f} % of the cells kept aside that are read as the same types. Draws of {known['cells']} cells, of one patient each where "
        "patients are known, that were called so: of learnt laboratories validation cells, read by the published reader; of others all cells, read by a "
        "network that never saw the laboratory, by its own means and limit."
    )
    yield ""
    yield "| | laboratory | mean | draws called unfamiliar |"
    yield "|---|---|---|---|"
    for which, laboratories in known.get("told", {}).items():
        for laboratory, each in laboratories.items():
            yield f"| {which} | {laboratory} | {100 * each['mean']:.0f} % | {100 * each['unfamiliar']:.0f} % |"
    yield ""
    if elsewhere:
        yield (
            f"On such a slide the errors of these networks stand for those of the reader: of {elsewhere['n']} {elsewhere['of']}, "
            f"{100 * elsewhere['recognised']:.0f} % are recognised under the threshold of the published reader, and "
            f"{100 * elsewhere['accuracy']:.0f} % of these are right."
        )
        if lineage := elsewhere.get("lineage"):
            yield (
                f"The lineage (blast-like, granulocytic, lymphoid, monocyte) of {100 * lineage['known']:.0f} % is sure, and right in "
                f"{100 * lineage['accuracy']:.0f} % of these."
            )
        yield ""


def _learning(part: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what `teach` and `adapt` gave in left-out laboratories."""
    if not part:
        return
    laboratories = part["laboratories"]
    yield "## Learning a laboratory"
    yield ""
    yield (
        f"Mean recall of the types in laboratories that a reader of the recipe `{part['recipe']}` never saw, in INT8 (commit {part['commit']}). "
        f"Rows of `teach` are means of {part['seeds']} draws of corrected cells, measured on the other cells, with the lowest and highest; before it, "
        "the mean recall of the same cells without. In the other rows the interval is the 95 % one of drawing the cells again."
    )
    yield ""
    headings = (f"{name} ({found['cells']} cells)" for name, found in laboratories.items())
    yield f"| | {' | '.join(headings)} |"
    yield f"|---|{'---|' * len(laboratories)}"
    rows = dict.fromkeys(row for found in laboratories.values() for row in found if row != "cells")
    for row in rows:
        yield f"| {row} | {' | '.join(_learnt(found.get(row)) for found in laboratories.values())} |"
    yield ""


def _learnt(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return ""
    taught = "before" in figures
    low, high = figures["range" if taught else "interval"]
    before = f"{_number(figures['before'])} to " if taught else ""
    refused = ", refused" if figures.get("refused") else ""
    return f"{before}{_number(figures['mean_recall'])} ({_number(low)} to {_number(high)}){refused}"


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _doubts(reader: Mapping[str, Any]) -> Iterator[str]:
    """Yield the measurements behind bounds and verdict."""
    if "possible" in reader:
        part = reader["possible"]
        missed = ", ".join(
            f"{_spoken(name)} {each['missed']} of {each['cells']}"
            for name, each in part["missed"].items()
            if name in reader["labels"] and each["cells"]
        )
        without = [name for name in reader["labels"] if not part["missed"].get(name, {}).get("cells")]
        yield (
            f"A cell that is not recognised may be of a type from a probability of {part['from']} on. Of cells kept aside, "
            f"neither recognised as their type nor left possible: {missed}."
        )
        if without:
            yield f"No cell was kept aside of {', '.join(map(_spoken, without))}: no bounds are given for these."
        yield ""
    for each in reader.get("healthy", []):
        mean = sum(p * share for p, share in zip(each["probabilities"], each["shares"], strict=True))
        yield (
            f"Blast-likeness in health: a mean probability of {mean:.4f} over {each['of']}; "
            f"{100 * each['not_recognised']:.0f} % of these cells are not recognised."
        )
        yield ""


def _finder_table(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "| data | pictures | class | AP50 | AP50-95 | recall | precision | counted / annotated |"
    yield "|---|---|---|---|---|---|---|---|"
    for data, result in figures.items():
        for name, values in result["classes"].items():
            if values["ap50"] is None:
                continue
            counts = result.get("counts", {}).get(name, {})
            numbers = (
                values["ap50"],
                values["ap"],
                values["recall"],
                values["precision"],
                counts.get("ratio"),
            )
            yield f"| {data} | {result['images']} | {name} | {' | '.join(map(_number, numbers))} |"
        yield f"| {data} | {result['images']} | mean | {_number(result['map50'])} | {_number(result['map'])} | | | |"


def _reader_tables(data: str, figures: Mapping[str, Any], full: Mapping[str, Any]) -> Iterator[str]:
    sources = figures["by_source"]
    yield f"| {data} | n | accuracy, all types | accuracy, 5 mature types | accepted | accuracy of accepted |"
    yield "|---|---|---|---|---|---|"
    for name, values in (("all", figures), *sources.items(), ("all, FP32", full)):
        cells = (
            _with_interval(values, "accuracy"),
            _with_interval(values, "accuracy5"),
            _number(values["rejection"]["coverage"]),
            _with_interval(values["rejection"], "accuracy"),
        )
        yield f"| {name} | {values['n']} | {' | '.join(cells)} |"
    yield ""
    yield f"Attributes: macro F1 {_number(figures['attribute_macro_f1'])} (FP32 {_number(full['attribute_macro_f1'])})."
    yield ""
    yield "| attribute | accuracy | macro F1 |"
    yield "|---|---|---|"
    for name, values in figures["attributes"].items():
        yield f"| {name} | {_number(values['accuracy'])} | {_number(values['f1'])} |"
    yield ""
    blast = figures["blast"]
    yield (
        f"Blasts against all others: AUROC {_number(blast['auroc'])}, sensitivity at 95 % specificity "
        f"{_number(blast['sensitivity_at_95_specificity'])}. Expected calibration error "
        f"{_number(figures['expected_calibration_error'])}."
    )
    yield ""
    yield "Mistakes:"
    yield ""
    for source, values in sources.items():
        yield f"- {source}: {_mistakes(values['confusion'])}"


def _lineage(told: Mapping[str, Any] | None) -> Iterator[str]:
    if not told:
        return
    sides = (
        f"{told[side]['cells']} of {told[side]['patients']} patients" for side in ("lymphoid", "myeloid")
    )
    yield (
        f"Lymphoid against myeloid blasts ({' against '.join(sides)}, kept aside): AUROC {_number(told['auroc'])}. Under 0.900 "
        "the lineage is not printed."
    )
    yield ""


def _probe(probe: Mapping[str, Any]) -> Iterator[str]:
    yield "### Does it know the laboratory?"
    yield ""
    yield (
        "How well a linear probe tells two laboratories apart on validation cells of one type (balanced accuracy; 0.5 is "
        "chance): from the picture's mean colours, from the prepared input's, and from the network's last features."
    )
    yield ""
    yield "| type | picture | input | network |"
    yield "|---|---|---|---|"
    for label in probe["network"]["by_type"]:
        row = (
            probe[stage]["by_type"][label]["balanced_accuracy"] for stage in ("levels", "input", "network")
        )
        yield f"| {label} | {' | '.join(map(_number, row))} |"
    row = (probe[stage]["balanced_accuracy"] for stage in ("levels", "input", "network"))
    yield f"| mean | {' | '.join(map(_number, row))} |"
    yield ""


def _mistakes(confusion: Mapping[str, Mapping[str, int]], most: int = 5) -> str:
    """Describe the most frequent mistakes, by share."""
    pairs = [
        (Share(n, sum(row.values())), truth, read)
        for truth, row in confusion.items()
        for read, n in row.items()
        if read != truth and n > 1 and sum(row.values()) >= FEWEST
    ]
    worst = sorted(pairs, key=lambda pair: -pair[0].percent)[:most]
    return (
        "; ".join(
            f"of {share.of} {truth} {share.count} were read as {read} "
            f"({share.percent:.0f} %, {share.low:.0f} to {share.high:.0f})"
            for share, truth, read in worst
        )
        or "none twice"
    ) + "."


def _first(figures: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return next(iter(figures.items()))


def _with_interval(figures: Mapping[str, Any], name: str) -> str:
    interval: Sequence[float] | None = figures.get(f"{name}_interval")
    if interval is None:
        return _number(figures[name])
    return f"{_number(figures[name])} ({_number(interval[0])} to {_number(interval[1])})"


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.{PRECISION}f}"
