"""Census records: does a person earn more than 50,000 dollars a year? Rules of thumb over the columns of a table.

The fields are those of the Adult data set (age, workclass, education, education-num, marital-status, occupation,
relationship, capital-gain, hours-per-week); its label config has the choices `>50K` and `<=50K`:

    <View>
      <Text name="job" value="$occupation"/>
      <Choices name="income" toName="job"><Choice value="&gt;50K"/><Choice value="&lt;=50K"/></Choices>
    </View>

The rules are what one would say before seeing a single record; no threshold is fitted. None of them looks at race, sex
or country of birth, and none asks who is a husband and who a wife.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter.labeling import column, labeling_function, lookup

MORE, LESS = ">50K", "<=50K"

young = column(
    LESS, "age", below=25, doc="Has hardly begun to work.", examples=[({"age": 19}, LESS), ({"age": 25}, None)]
)

old = column(LESS, "age", above=70, doc="Past the years of earning.")

few_hours = column(
    LESS, "hours-per-week", below=30, doc="Works part-time.", examples=[({"hours-per-week": "20"}, LESS)]
)

no_diploma = column(LESS, "education-num", below=9, doc="Left school without a diploma.")

unpaid = column(LESS, "workclass", one_of=["Without-pay", "Never-worked"], doc="Is not paid for the work.")

at_home = column(
    LESS,
    "relationship",
    equals="Own-child",
    doc="Lives with parents.",
    examples=[({"relationship": "Own-child"}, LESS), ({"relationship": "Wife"}, None)],
)

single = column(LESS, "marital-status", equals="Never-married", doc="One income, and often a young one.")

large_gain = column(
    MORE,
    "capital-gain",
    at_least=10_000,
    doc="Sold something worth much.",
    examples=[({"capital-gain": "14084"}, MORE), ({"capital-gain": "0"}, None)],
)

higher_degree = column(MORE, "education-num", at_least=14, doc="Has a degree beyond the bachelor's.")

occupation = lookup(
    {
        "Exec-managerial": MORE,
        "Prof-specialty": MORE,
        "Handlers-cleaners": LESS,
        "Other-service": LESS,
        "Priv-house-serv": LESS,
        "Farming-fishing": LESS,
        "Machine-op-inspct": LESS,
        "Adm-clerical": LESS,
    },
    field="occupation",
    doc="What the occupation usually pays.",
    examples=[({"occupation": "Prof-specialty"}, MORE), ({"occupation": "Sales"}, None)],
)


def _number(data: Mapping[str, Any], field: str) -> float:
    return float(data[field])  # a CSV file holds text


@labeling_function(
    examples=[
        ({"marital-status": "Married-civ-spouse", "education-num": 13, "age": 45}, MORE),
        ({"marital-status": "Married-civ-spouse", "education-num": 9, "age": 45}, None),
        ({"marital-status": "Divorced", "education-num": 13, "age": 45}, None),
    ]
)
def married_graduate(data: Mapping[str, Any]) -> str | None:
    """Married, with a degree, and old enough to have made something of it."""
    married = str(data["marital-status"]).startswith("Married")
    return MORE if married and _number(data, "education-num") >= 13 and _number(data, "age") >= 30 else None


@labeling_function(
    examples=[
        ({"hours-per-week": 55, "education-num": 13}, MORE),
        ({"hours-per-week": 55, "education-num": 9}, None),
    ]
)
def long_hours(data: Mapping[str, Any]) -> tuple[str, float] | None:
    """A graduate who works long hours: rather more than less."""
    long = _number(data, "hours-per-week") >= 50
    return (MORE, 0.6) if long and _number(data, "education-num") >= 13 else None
