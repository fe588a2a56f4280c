// Which part is being read; and on a small screen, the contents folded away until asked for.
const menu = document.querySelector("nav details");
const wide = matchMedia("(min-width: 70rem)");
const fold = () => { menu.open = wide.matches; };
wide.addEventListener("change", fold);
menu.addEventListener("click", (event) => { if (event.target.closest("a")) fold(); });
const links = [...menu.querySelectorAll("a")];
const heads = links.map((link) => document.getElementById(link.getAttribute("href").slice(1)));
const mark = () => {
  const above = heads.filter((head) => head.getBoundingClientRect().top < innerHeight / 4);
  links.forEach((link, i) => { link.ariaCurrent = i === above.length - 1 ? "true" : null; });
  for (const item of menu.querySelectorAll("li")) {
    item.classList.toggle("here", item.querySelector("[aria-current]") !== null);
  }
};
// Which figures are smaller than drawn, so that a tap makes them larger.
const measure = () => {
  for (const image of document.querySelectorAll(".image img")) {
    image.parentNode.classList.toggle("shrunk", image.naturalWidth > image.parentNode.clientWidth);
  }
};
addEventListener("load", measure);
addEventListener("resize", measure);
addEventListener("scroll", mark, { passive: true });
menu.classList.add("live");
fold();
mark();
