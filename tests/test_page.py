"""The document as one page: all of it, in one file, without a network, on any screen."""

import base64
import html.parser
import json
import os
import re
import subprocess
import tempfile
from urllib.parse import unquote

import pytest
import test_render
from chrome import BROWSER
from fresh import ROOT, TOOL, python

from literate import page as page_module
from literate.org import Block, anchors, parse, present_results

README = ROOT / "README.org"


class Page(html.parser.HTMLParser):
    """A page's `ids`, `links`, other `sources`, `images`, `code` and `results`.

    Each code comes with the file it is tangled to, and whether it is folded away.
    """

    void = {"meta", "link", "img", "br", "hr"}

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.ids, self.links, self.sources, self.images = [], [], [], []
        self.code, self.results = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in self.void:
            self.open.append((tag, values))
        tags = [name for name, _ in self.open]
        inside = tags[tags.index("figure") :] if "figure" in tags else tags[-3:-2]
        folded = "details" in inside
        if tag == "code" and tags[-2] == "pre":
            self.code.append(["", self.open[-3][1].get("data-file"), folded])
        if tag == "samp":
            self.results.append("")
        if tag == "img":
            self.images.append(values["src"])
        if "id" in values:
            self.ids.append(values["id"])
        for name in ("src", "href", "srcset", "data", "poster", "action", "background"):
            if name in values:
                (self.links if tag == "a" else self.sources).append(values[name])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, f"line {self.getpos()[0]}: </{tag}>"

    def handle_data(self, data):
        tags = [name for name, _ in self.open]
        if tags[-1:] == ["samp"]:
            self.results[-1] += data
        elif "pre" in tags:
            self.code[-1][0] += data


@pytest.fixture(scope="module")
def page(text):
    """The page of README.org, taken apart."""
    return Page(text)


def blocks(elements):
    return [element for element in elements if isinstance(element, Block)]


def test_every_tag_is_closed_and_every_name_is_there_once(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_nothing_is_loaded_from_elsewhere(text, page):
    assert [source for source in page.sources if not source.startswith("data:")] == []
    assert not re.search(r"url\(|@import|fetch|XMLHttp", text.split("<body>")[0])
    assert "default-src 'none'" in text.split("<style>")[0]


def test_every_figure_is_inline_in_order(elements, page):
    figures = [(ROOT / name).read_bytes() for name in test_render.figures(elements)]
    assert [base64.b64decode(image.split(",")[1]) for image in page.images] == figures
    assert len(figures) > 9


def test_every_heading_has_the_anchor_that_github_gives_it(elements, page):
    assert page.ids == list(anchors(elements).values())


def test_every_heading_but_the_deepest_is_in_the_contents(elements, text):
    listed = re.findall('href="#(.*?)"', text.split("<nav>")[1].split("</nav>")[0])
    deep = {e.line for e in elements if e.kind == "heading" and e.text.startswith("***")}
    slugs = anchors(elements)
    assert listed == [slug for line, slug in slugs.items() if line not in deep]


def test_every_link_leads_somewhere(page):
    inside = [unquote(link) for link in page.links if not re.match(r"https?:|mailto:", link)]
    assert [x for x in inside if x[0] == "#" and x[1:] not in page.ids] == []
    assert [x for x in inside if x[0] != "#" and not (ROOT / x).exists()] == []
    assert "LICENSE" in inside


def test_all_code_is_there_as_it_stands_with_the_file_that_it_goes_to(elements, page):
    expected = []
    for element in elements:
        if isinstance(element, Block):
            folded = element.args.get("exports") == "results"
            expected.append([element.code.strip("\n"), element.args.get("tangle"), folded])
        elif element.kind == "example":
            expected.append(["\n".join(element.text.split("\n")[1:-2]), None, False])
    assert [[code.strip("\n"), file, fold] for code, file, fold in page.code] == expected


def test_every_result_is_there_as_it_stands(elements, page):
    results = [r for r in present_results(elements).values() if r[:2] != "[["]
    expected = []
    for result in results:
        body = result.split("\n")[1:-2] if result[0] == "#" else result.split("\n")[:-1]
        pattern = r"^([ ]*),(?=\*|#\+)" if result[0] == "#" else "^: ()"
        expected.append("\n".join(re.sub(pattern, r"\1", line) for line in body).rstrip())
    assert [result.rstrip() for result in page.results] == expected


def test_every_result_is_in_the_box_of_its_code(text):
    boxes = re.findall(r'<div class="block">\n(.*?)</div>', text, re.DOTALL)
    assert sum("<samp>" in box for box in boxes) == text.count("<samp>")
    assert all("<pre><code>" in box for box in boxes if "<samp>" in box)


@pytest.mark.skipif(
    not test_render.has_org_ruby() and not os.environ.get("CI"),
    reason="org-ruby (ruby-org) is not installed",
)
def test_the_prose_is_what_github_shows_word_for_word(text):
    body = text.split("<main>")[1].split("</main>")[0]
    body = body.replace("<summary>Code</summary>", "")
    ours, theirs = (
        re.findall(r"\w+", page.prose)
        for page in (test_render.Page(body), test_render.render(README.read_text("utf-8")))
    )
    assert ours == theirs


def test_the_page_is_the_same_each_time(text):
    program = """
import sys
from literate import page
from pathlib import Path
from literate.tangle import load
path = Path(sys.argv[1])
sys.stdout.buffer.write(page.page(load(path), path).encode())
"""
    assert python(program, README, PYTHONHASHSEED="1", PYTHONUTF8="1") == text


DOCUMENT = """\
#+title: Small
#+property: header-args:python :session micrograd

#+begin_src python :results output :exports both
print("&", 1 < 2)
#+end_src

#+RESULTS:
: & True

See [[https://example.org][a site]], and [[file:README.org][this]].

#+begin_src python :results file :exports results
"images/a.svg"
#+end_src

#+RESULTS:
[[file:images/a.svg]]

/A picture of/ ~a~.
"""


def write_page(folder, old="", new="", drawn=True):
    """What `make html` says of an edited DOCUMENT, where there is a page already."""
    assert old in DOCUMENT
    (folder / "images").mkdir()
    if drawn:
        (folder / "images/a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "README.org").write_text(DOCUMENT.replace(old, new))
    (folder / "micrograd.html").write_text("an older page")
    command = [*TOOL, "html", folder / "README.org"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_page_is_written(tmp_path):
    done = write_page(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote micrograd.html\n", "")
    page = Page((tmp_path / "micrograd.html").read_text("utf-8"))
    assert page.code[0] == ['print("&", 1 < 2)\n', None, False]
    assert page.results == ["& True\n"]
    assert "https://example.org" in page.links


@pytest.mark.parametrize(
    ("caption", "alt"),
    [
        ("/A picture of/ ~a~.", "A picture of a."),
        ('/A "wide" picture/\n/of/ ~a < b~: /here/.', 'A "wide" picture of a < b: here.'),
        ("This is /no/ caption.", "a"),
        ("...", "a"),
    ],
)
def test_an_image_is_told_in_words_by_its_caption_or_else_by_its_name(tmp_path, caption, alt):
    write_page(tmp_path, "/A picture of/ ~a~.", caption)
    text = (tmp_path / "micrograd.html").read_text("utf-8")
    (found,) = re.findall('<img alt="(.*?)"', text, re.DOTALL)
    assert " ".join(html.unescape(found).split()) == alt
    assert ("<figcaption>" in text) == (alt != "a")


@pytest.mark.parametrize(
    ("line", "edit"),
    [
        (4, {"old": "#+RESULTS:\n: & True\n\n", "new": ""}),
        (11, {"old": "file:README.org", "new": "file:missing.org"}),
        (11, {"old": "file:README.org", "new": "#missing"}),
        (13, {"drawn": False}),
    ],
)
def test_what_is_missing_is_named_and_the_old_page_stays(tmp_path, line, edit):
    done = write_page(tmp_path, **edit)
    assert done.returncode == 1
    assert done.stderr.startswith(f"README.org:{line}: ")
    assert (tmp_path / "micrograd.html").read_text() == "an older page"
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.org",
        "images",
        "micrograd.html",
    }


# As a browser shows it.

FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --enable-logging=stderr --v=0
    --allow-file-access-from-files --hide-scrollbars --dump-dom
""".split()

# Two phones and a laptop: frames, since Chromium has no window as narrow as a phone.
FRAMES = """\
<!doctype html>
<iframe src="page.html" style="width: 360px; height: 740px"></iframe>
<iframe src="page.html" style="width: 412px; height: 900px"></iframe>
<iframe src="page.html" style="width: 1280px; height: 800px"></iframe>
<pre></pre>
<script>
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (color) => {
  const [r, g, b] = rgb(color).map((x) => x / 255).map(
    (x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
};

function look(frame, say) {
  const page = frame.contentDocument, width = frame.clientWidth;
  const box = (node) => node.getBoundingClientRect();
  const style = (node) => frame.contentWindow.getComputedStyle(node);
  const menu = page.querySelector("nav details");
  if (menu.open !== width > 1000) say("the contents are folded, or not, as they should not be");
  for (const fold of page.querySelectorAll("main details")) fold.open = true;
  if (page.documentElement.scrollWidth > width) say("the page scrolls sideways");
  for (const image of page.images) {
    if (!image.complete || !image.naturalWidth) say(`${image.alt}: no image`);
    if (box(image).right > width) say(`${image.alt}: too wide`);
  }
  for (const link of page.links) {
    const id = decodeURIComponent(link.hash.slice(1));
    const here = link.getAttribute("href").startsWith("#");
    if (here && !page.getElementById(id)) say(`${id}: dead`);
  }
  for (const head of page.querySelectorAll("h2")) {
    head.scrollIntoView();
    if (width < 1000 && box(head).top < box(menu).bottom) say(`${head.id}: hidden by the bar`);
  }
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !box(node).height) continue;
    const what = walker.currentNode.data.trim().slice(0, 30);
    let behind = node;
    while (rgb(style(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const [a, b] = [style(node).color, style(behind).backgroundColor].map(light);
    if (Math.max(a / b, b / a) < 4.5) say(`${what}: hard to see`);
    if (parseFloat(style(node).fontSize) < 11.5) say(`${what}: too small`);
  }
  say(style(page.body).backgroundColor);
}

onload = () => {
  const report = [...document.querySelectorAll("iframe")].map((frame) => {
    const said = [];
    try { look(frame, (what) => said.push(what)); } catch (error) { said.push(String(error)); }
    return said;
  });
  document.querySelector("pre").textContent = JSON.stringify(report);
};
</script>
"""


def browse(text, folder, *flags):
    """What is wrong with a page in each of FRAMES, and its background; and console errors."""
    assert BROWSER, "no Chromium is installed"
    (folder / "page.html").write_text(text, "utf-8")
    (folder / "frames.html").write_text(FRAMES, "utf-8")
    address = (folder / "frames.html").as_uri()
    # Chromium may still write there for a moment after it has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as user:
        command = [BROWSER, *FLAGS, f"--user-data-dir={user}", *flags, address]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    report = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert report, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(report[1])), console


needs_browser = pytest.mark.skipif(
    not BROWSER and not os.environ.get("CI"), reason="neither Chromium nor Chrome is installed"
)


@needs_browser
@pytest.mark.dear
@pytest.mark.parametrize(
    ("scheme", "paper"), [(1, "rgb(255, 255, 255)"), (0, "rgb(13, 17, 23)")]
)
def test_it_reads_well_on_a_phone_and_a_laptop_in_light_and_dark(text, tmp_path, scheme, paper):
    flag = f"--blink-settings=preferredColorScheme={scheme}"
    assert browse(text, tmp_path, flag) == ([[paper]] * 3, [])


@needs_browser
def test_a_browser_would_find_what_is_wrong(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "README.org").touch()
    elements = parse(DOCUMENT + "\n* Part\n\nMore.\n")
    text = page_module.page(elements, tmp_path / "README.org")
    wrong = """<main>
<p style="width: 700px"><a href="#missing">x</a></p>
<img alt="broken" src="data:image/png;base64,AAAA">
<img alt="distant" src="http://localhost/a.png">
<img alt="wide" width="500" src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>">
<p style="color: #ccc; background: #fff">pale</p>
<p style="font-size: 8px">tiny</p>
<script>throw Error("thrown")</script>
"""
    frames, console = browse(text.replace("<main>", wrong), tmp_path)
    phone = {"the page scrolls sideways", "wide: too wide"}
    every = {"missing: dead", "broken: no image", "distant: no image"}
    every |= {"pale: hard to see", "tiny: too small"}
    assert every | phone <= set(frames[0])
    assert every <= set(frames[2]) and not phone & set(frames[2])
    assert any("Content Security Policy" in line for line in console)
    # No script but the page's own runs at all; where it would, its error would be seen.
    assert not any("thrown" in line for line in console)
    loose = re.sub("script-src '.*?'", "script-src 'unsafe-inline'", text)
    _, console = browse(loose.replace("<main>", wrong), tmp_path)
    assert any("thrown" in line for line in console)
