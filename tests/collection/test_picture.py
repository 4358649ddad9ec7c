"""A collection at a glance."""

from html.parser import HTMLParser

from mlstac.collection import Collection, Split, Tensor, describe_tensor
from tests.collection.examples import flood


class Checker(HTMLParser):
    """Gather the text and see that every tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_repr_says_what_it_is_in_a_few_lines():
    assert repr(flood()).splitlines() == [
        "Collection flood: Floods of Valencia",
        "  tasks   semantic-segmentation, x-flood-mapping",
        "  place   -0.5 to -0.2 °E, 39.2 to 39.6 °N",
        "  time    2024-10-29 to 2024-11-05",
        "  people  Ada, Bea",
        "  licence CC-BY-4.0",
        "  version 1.2.0",
        "  tensor  input       uint16 [band 12, y 64, x 64] · B01 … B12 · nodata 0",
        "  tensor  target      uint8 [y 64, x 64] · label · land, open water · nodata 255",
        "  tensor  notes       text/plain · not in every sample",
        "  split   train       3 samples",
        "  split   validation  1 sample",
        "  split   test        0 samples",
    ]


def test_the_html_is_whole_and_says_the_same():
    checker = Checker()
    checker.feed(flood()._repr_html_())
    checker.close()
    assert checker.open == []
    text = " ".join(checker.text)
    for word in ("Floods of Valencia", "semantic-segmentation", "uint16 [band 12, y 64, x 64]", "train", "Ada, Bea"):
        assert word in text


def test_the_authors_words_are_text_and_never_markup():
    evil = "<script>alert(1)</script>"
    collection = Collection(
        id=evil,
        title=evil,
        description=evil,
        version=evil,
        contacts=[{"name": evil}],
        tensors={"<b>x": Tensor(classes={0: evil}, bands=[evil])},
        splits={"train": Split(n_items=1)},
    )
    checker = Checker()
    checker.feed(collection._repr_html_())
    assert "script" not in checker.tags
    assert evil in " ".join(checker.text)


def test_little_is_shown_as_little():
    assert repr(Collection(id="x")) == "Collection x\n  licence other"
    assert describe_tensor(Tensor()) == "dtype not known yet"
    assert describe_tensor(Tensor(dtype="BF16", shape=(None, 4))) == "bf16 [?, 4]"
    assert describe_tensor(Tensor(dtype="F32", dims="y x")) == "float32 [y, x]"
    assert describe_tensor(Tensor(dtype="F32", shape=())) == "float32 []"
    assert describe_tensor(Tensor(classes={n: f"c{n}" for n in range(20)})).endswith("c6, c7 … (20 classes)")
