"""Words that people take for the same have one stem; others mostly have not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.services.french import fold, stem, terms, words


@pytest.mark.parametrize(
    "group",
    [
        "procédure procédures Procedure PROCÉDURES",
        "contrôle contrôles contrôler contrôlé contrôlée",
        "navire navires",
        "bateau bateaux",
        "cheval chevaux",
        "signal signaux",
        "feu feux",
        "scellé scellés sceller",
        "bouée bouées",
        "œuvre oeuvres",
    ],
)
def test_forms_of_one_word(group: str) -> None:
    assert len(set(terms(group))) == 1, list(terms(group))


def test_other_words_stay_apart() -> None:
    apart = "mer mère port porte bord bouée fouille feuille douane navire navette 2024 20"
    assert len(set(terms(apart))) == len(apart.split()) - 1, "port and porte alone"
    assert list(words("L'alerte, et la mer : 17 bouées !")) == ["alerte", "mer", "17", "bouees"]
    assert fold("Ça & LÀ") == "ca & la"
    assert list(words("x" * 41)) == []


@given(st.text(max_size=80))
def test_any_text_gives_plain_words(text: str) -> None:
    for word in words(text):
        assert word.isascii()
        assert stem(word)
        assert len(stem(word)) <= len(word)
