"""Extraction datasets: entities, identifiers, relations, events and co-references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from medinst_eval.demo import forms
from medinst_eval.demo.grammar import (
    Passage,
    draw_fact,
    join,
    lexicon,
    realise,
    templates,
)

Pair = tuple[str, str]
"""Input text and gold answer."""

_PROTEIN = ("protein", ("protein",), {"protein": "Protein"})
_ANATOMY = {
    "organ": "Organ", "tissue": "Tissue", "cell": "Cell", "structure": "Multi-tissue_structure",
    "substance": "Organism_substance", "body_part": "Organism_subdivision",
    "system": "Anatomical_system", "lesion": "Pathological_formation",
    "component": "Cellular_component", "embryo": "Developing_anatomical_structure",
    "space": "Immaterial_anatomical_entity", "pocket": "Pathological_formation",
    "vessel": "Multi-tissue_structure", "fluid": "Organism_substance",
}  # fmt: skip
_CANCER = {
    "cancer": "Cancer", "cancer_gene": "Gene_or_gene_product", "remedy": "Simple_chemical",
    "toxin": "Simple_chemical", "tracer": "Simple_chemical",
    "amino_acid": "Amino_acid", "organism": "Organism", "patients": "Organism",
    "organ": "Organ", "cell": "Cell", "structure": "Multi-tissue_structure",
    "component": "Cellular_component", "substance": "Organism_substance",
}  # fmt: skip
_INFECTION = {
    "bacterium": "Organism", "organism": "Organism", "virulence": "Protein",
    "nutrient": "Chemical", "antibiotic": "Chemical", "operon": "Regulon-operon",
    "two_component": "Two-component-system",
}  # fmt: skip
_REGULATION = {
    "factor": "TranscriptionFactor", "promoter": "Promoter", "enhancer": "Enhancer",
    "rna": "MessengerRNA", "gro_nucleus": "Nucleus", "gro_cell": "Cell", "tata": "TATAbox",
    "polymerase": "RNAPolymeraseII",
}  # fmt: skip
_PATHWAY = {
    "kinase": "Gene_or_gene_product", "complex": "Complex", "messenger": "Simple_chemical",
    "component": "Cellular_component",
}  # fmt: skip
_CLINICAL = {
    "gene": "GeneOrGeneProduct", "protein": "GeneOrGeneProduct", "chemical": "ChemicalEntity",
    "disease": "DiseaseOrPhenotypicFeature", "organism": "OrganismTaxon",
    "patients": "OrganismTaxon", "trait": "DiseaseOrPhenotypicFeature", "cell_line": "CellLine",
    "ProteinMutation": "SequenceVariant", "DNAMutation": "SequenceVariant",
    "SNP": "SequenceVariant",
}  # fmt: skip
_GENETICS = {
    "gene": "Gene", "ProteinMutation": "ProteinMutation", "DNAMutation": "DNAMutation",
    "SNP": "SNP", "people": "Species", "cell_line": "CellLine",
}  # fmt: skip

ENTITIES: Mapping[str, tuple[str, tuple[str, ...], Mapping[str, str]]] = {
    "AnEM": ("anatomical", ("anatomy",), _ANATOMY),
    "BioNLP-2009": _PROTEIN,
    "BioNLP-2011-GE": _PROTEIN,
    "BioNLP-2011-ID": ("infectious disease", ("infection",), _INFECTION),
    "BioNLP-2011-REL": _PROTEIN,
    "BioNLP-2013-CG": ("cancer genetics", ("cancer",), _CANCER),
    "BioNLP-2013-GE": _PROTEIN,
    "BioNLP-2013-GRO": ("gene regulation", ("regulation",), _REGULATION),
    "BioNLP-2013-PC": ("pathway", ("pathway",), _PATHWAY),
    "BioRED": ("biomedical", ("clinical",), _CLINICAL),
    "tmVar-v3": ("gene and variant", ("genetics",), _GENETICS),
}
"""Dataset -> what it looks for, template sections, kind -> entity type."""

WORDS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "NCBI-disease": ("disease", "disease", ("disease",)),
    "BC5CDR": ("chemical and disease", "chemical_disease", ("chemical", "disease")),
}
"""Dataset -> what it looks for, template section, kinds that are labelled."""

RELATIONS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "AnEM-RE": ("anatomical", "anatomy", ("frag", "Part-of")),
    "BC5CDR-RE": ("chemical and disease", "chemical_disease", ("CID",)),
    "BioInfer-RE": ("protein", "protein", ("PPI",)),
    "BioRED-RE": (
        "biomedical", "drug_gene", ("Association", "Positive_Correlation", "Negative_Correlation"),
    ),
}  # fmt: skip
EVENTS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "MLEE-EE": (
        "biomedical", "biomedical",
        ("Binding", "Blood_vessel_development", "Catabolism", "Cell_proliferation", "Death",
         "Gene_expression", "Growth", "Localization", "Negative_regulation", "Phosphorylation",
         "Planned_process", "Positive_regulation", "Synthesis", "Transcription"),
    ),
    "BioNLP-2009-EE": (
        "molecular", "molecular",
        ("Binding", "Gene_expression", "Localization", "Phosphorylation", "Positive_regulation",
         "Transcription"),
    ),
}  # fmt: skip
COREFERENCE: Mapping[str, str] = {
    "AnEM-COREF": "anatomy",
    "MLEE-COREF": "biomedical",
    "BioNLP-2009-COREF": "protein",
}
_COREFERENCE_WHAT = {"anatomy": "anatomical", "biomedical": "biomedical", "protein": "protein"}


def instruction(name: str) -> str:
    """Instruction of an extraction dataset."""
    texts = templates()["instructions"]
    if name == "MeDAL":
        return str(texts["MeDAL"])
    if name in ENTITIES:
        what, _, types = ENTITIES[name]
        return str(texts["NER"]).format(what=what, labels=", ".join(sorted(set(types.values()))))
    if name in WORDS:
        return str(texts["words"]).format(what=WORDS[name][0])
    if name in COREFERENCE:
        return str(texts["COREF"]).format(what=_COREFERENCE_WHAT[COREFERENCE[name]])
    if name in RELATIONS:
        what, _, labels = RELATIONS[name]
        return str(texts["RE"]).format(what=what, labels=", ".join(labels))
    if name in EVENTS:
        what, _, labels = EVENTS[name]
        return str(texts["EE"]).format(what=what, labels=", ".join(labels))
    what = "gene and variant" if name == "tmVar-v3-NED" else "chemical and disease"
    return str(texts["NED"]).format(what=what)


def entity_row(name: str, rng: Random) -> Pair:
    """Text of one or two sentences and its `[mention <Type>]` answer."""
    _, sections, types = ENTITIES[name]
    passage = typed(_sentences(rng, sections))
    return passage.text, forms.entities(passage.mentions, types)


def word_row(name: str, rng: Random) -> Pair:
    """Sentence with blanks between its words and its `word [LABEL]` answer."""
    _, section, kinds = WORDS[name]
    section = "none" if rng.random() < 0.12 else section
    passage = realise(rng.choice(templates()["words"][section]), rng)
    marked = [mention for mention in passage.mentions if mention.kind in kinds]
    return passage.text, forms.word_labels(passage.text, marked)


def variant_link_row(rng: Random) -> Pair:
    """Text on genes and variants and its `[mention <DB/id, DB/id>]` answer."""
    if rng.random() < 0.08:
        return realise(rng.choice(templates()["entities"]["none"]), rng).text, ""
    passage = _sentences(rng, ("genetics",))
    return passage.text, forms.links(passage.mentions, variant_identifiers())


def mesh_link_row(rng: Random) -> Pair:
    """Text on drugs and diseases and its `[mention <MESH/id>]` answer."""
    identifiers = {fact["name"]: fact["id"] for fact in lexicon()["facts"]["mesh"]}
    identifiers |= {name.capitalize(): found for name, found in identifiers.items()}
    while True:
        passage = realise(rng.choice(templates()["relations"]["chemical_disease"]), rng)
        if gold := forms.links(passage.mentions, identifiers):
            return passage.text, gold


def abbreviation_row(rng: Random) -> Pair:
    """`Text: …` with `Abbreviation: …` and the expansion that the context calls for."""
    fact = draw_fact(rng, "abbreviation")
    text = realise(rng.choice(templates()["abbreviations"]), rng, fact).text
    return f"Text: {text}\nAbbreviation: {fact['abbreviation']}", fact["sense"]


def relation_row(name: str, rng: Random) -> Pair:
    """Text and its `[<head> <relation> <tail>]` answer."""
    passage = realise(rng.choice(templates()["relations"][RELATIONS[name][1]]), rng)
    return passage.text, forms.tuples(passage.gold)


def event_row(name: str, rng: Random) -> Pair:
    """Text and its `[<type> <trigger> <theme>]` answer."""
    passage = realise(rng.choice(templates()["events"][EVENTS[name][1]]), rng)
    return passage.text, forms.tuples(passage.gold)


def coreference_row(name: str, rng: Random) -> Pair:
    """`Text: …` with `Entity: …` and the other mentions of that entity, each once."""
    domain = COREFERENCE[name]
    facts = [fact for fact in lexicon()["facts"]["short_form"] if fact["domain"] == domain]
    fact = rng.choice(facts)
    passage = realise(rng.choice(templates()["coreference"][domain]), rng, fact)
    given, other = ("long", "short") if rng.random() < 0.7 else ("short", "long")
    entity = passage.values[given]
    return f"Text: {passage.text}\nEntity: {entity}", forms.mentions([passage.values[other]])


def typed(passage: Passage) -> Passage:
    """Give sequence variants the kind that their notation has (protein, DNA, SNP)."""
    kinds = {fact["variant"]: fact["type"] for fact in lexicon()["facts"]["variant"]}
    return replace(
        passage,
        mentions=tuple(
            replace(m, kind=kinds[m.text]) if m.kind == "variant" else m for m in passage.mentions
        ),
    )


def variant_identifiers() -> dict[str, str]:
    """Gene or variant -> identifiers, several joined by `, ` as in the benchmark."""
    identifiers: dict[str, str] = {}
    for fact in lexicon()["facts"]["variant"]:
        identifiers[fact["gene"]] = fact["ids"]
        codes = [f"dbSNP/{fact['rs']}", fact["ids"]]
        codes += [f"dbSNP/{fact['code']}"] if fact["code"] else []
        identifiers[fact["variant"]] = ", ".join(codes)
    return identifiers


def _sentences(rng: Random, sections: tuple[str, ...]) -> Passage:
    """One sentence, or two of different templates."""
    pool = [text for section in sections for text in templates()["entities"][section]]
    chosen = rng.sample(pool, 2 if rng.random() < 0.35 else 1)
    return join([realise(template, rng) for template in chosen])
