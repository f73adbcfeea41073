"""The model card, written from the manifest so that no figure in it can differ from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PRECISION = 3


def card(document: Mapping[str, Any]) -> str:
    """A model folder's README.md."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    finder, reader = document["finder"], document["reader"]
    yield f"# {document['magnification']} model, version {document['version']}"
    yield ""
    yield "Research use only. Not for diagnosis. Written by `edgeleuk publish` from `model.json`; do not edit."
    yield ""
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
    yield ""
    yield from _finder_table(finder["figures"])
    yield ""
    txl, full = finder["figures"]["txl_val"], finder["figures_fp32"]["txl_val"]
    yield f"FP32 on txl_val: mAP50 {_number(full['map50'])}, mAP50-95 {_number(full['map'])} (INT8: {_number(txl['map50'])}, {_number(txl['map'])})."
    yield ""
    yield "## Reader"
    yield ""
    yield (
        f"Type and attributes of one white cell, {reader['input']['size']} px at {reader['um_per_px']} um per pixel; INT8. "
        f"Recipe `{reader['recipe']}`, seed {reader['seed']}, commit {reader['commit']}."
    )
    yield ""
    yield f"Types: {', '.join(reader['labels'])}. Read as another: {_named(reader['merge'])}."
    yield f"Trained on the `train` splits of {', '.join(reader['data']['sources'])}. {reader['licence_note']}"
    yield (
        f"Under a calibrated probability of {reader['threshold']} (temperature {reader['temperature']:.2f}) a cell is "
        "unclassified."
    )
    yield ""
    yield from _reader_tables(reader["figures"]["cells_val"], reader["figures_fp32"]["cells_val"])
    yield ""
    yield "## Limits"
    yield ""
    yield (
        "- Every leukaemic cell it learnt came from one laboratory and every healthy one from another: on a third, "
        "expect worse. Nothing here was measured on a laboratory that was not in training."
    )
    yield "- Attributes were labelled on mature cells of healthy donors only; on other types none is called sure."
    yield "- Blasts carry no lineage. Promyelocytes of the leukaemic source are abnormal ones."
    yield "- Never tested: children, animals, malaria or other parasites, stains other than Romanowsky's, 40x and 10x."


def _finder_table(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "| data | pictures | class | AP50 | AP50-95 | recall | precision | counted / annotated |"
    yield "|---|---|---|---|---|---|---|---|"
    for data, result in figures.items():
        for name, values in result["classes"].items():
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


def _reader_tables(figures: Mapping[str, Any], full: Mapping[str, Any]) -> Iterator[str]:
    yield "| cells | n | accuracy, all types | accuracy, 5 mature types |"
    yield "|---|---|---|---|"
    rows = [
        ("val, all", figures),
        *((f"val, {name}", values) for name, values in figures["by_source"].items()),
    ]
    for name, values in rows:
        yield f"| {name} | {values['n']} | {_number(values['accuracy'])} | {_number(values['accuracy5'])} |"
    yield f"| val, all, FP32 | {full['n']} | {_number(full['accuracy'])} | {_number(full['accuracy5'])} |"
    yield ""
    yield f"Attributes: macro F1 {_number(figures['attribute_macro_f1'])} (FP32 {_number(full['attribute_macro_f1'])})."
    yield ""
    yield "| attribute | accuracy | macro F1 |"
    yield "|---|---|---|"
    for name, values in figures["attributes"].items():
        yield f"| {name} | {_number(values['accuracy'])} | {_number(values['f1'])} |"
    blast = figures["blast"]
    yield ""
    yield (
        f"Blasts against all others: AUROC {_number(blast['auroc'])}, sensitivity at 95 % specificity "
        f"{_number(blast['sensitivity_at_95_specificity'])}."
    )
    yield ""
    yield f"Most frequent mistakes (truth read as): {'; '.join(_mistakes(figures['confusion']))}."


def _mistakes(confusion: Mapping[str, Mapping[str, int]], most: int = 10) -> Sequence[str]:
    pairs = [
        (n, truth, read) for truth, row in confusion.items() for read, n in row.items() if read != truth and n
    ]
    return [f"{truth} as {read} {n}" for n, truth, read in sorted(pairs, reverse=True)[:most]]


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.{PRECISION}f}"
