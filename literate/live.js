// The live figures. All that they compute, the document's own compiler has printed, in FIGURES.
(() => {
const nan = NaN, inf = Infinity;
const words = new Int32Array(2), double = new Float64Array(words.buffer);
const where = (condition, yes, no) => condition ? yes : no;
const divide = (a, b) => a / b;
const two = (n) => { words[0] = 0; words[1] = (n + 1023) << 20; return double[0]; };
const exponent = (x) => { double[0] = x; return (words[1] >> 20) - 1023; };
const { acos, acosh, asin, asinh, atan, cos, cosh, expm1, log10, log2, sin, sinh, sqrt, tan, abs: fabs } = Math;
const FIGURES = [/* here */];

const DRAWN = ["svg", "g", "path", "rect", "circle", "text", "title"];
const add = (to, tag, attributes = {}, text = "") => {
  const space = `http://www.w3.org/${DRAWN.includes(tag) ? "2000/svg" : "1999/xhtml"}`;
  const node = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  to.append(node);
  return node;
};
const drawing = (to, width, height, label) => {
  to.textContent = "";
  return add(to, "svg", { width, height, role: "img", "aria-label": label });
};
const line = (spots) => `M${spots.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
const range = (n) => [...Array(n).keys()];
const mix = (low, high, part) => low + (high - low) * part;

// A number in at most so many letters, with as many of its digits as fit; and back.
const NAMES = { NaN: "nan", Infinity: "inf", "-Infinity": "-inf" };
const shown = (x, room = 8) => {
  const text = (digits) => {
    const near = Number(x.toPrecision(digits)) || 0, plain = String(near);
    return (plain.length > room ? near.toExponential() : plain).replace("e+", "e");
  };
  return NAMES[x] ?? text([17, 6, 5, 4, 3, 2].find((digits) => text(digits).length <= room) ?? 1);
};
const read = (text) => {
  const name = text.trim().toLowerCase();
  return Number(Object.keys(NAMES).find((key) => NAMES[key] === name) ?? (name || NaN));
};

// A row for an input: its name, a slider, a box that takes any number, and room for more.
const input = (figure, place, changed) => {
  const { label, low, high, start } = figure.inputs[place];
  const row = add(figure.controls, "div", { class: "input" });
  add(row, "span", { class: "name" }, label);
  const step = 10 ** Math.floor(Math.log10((high - low) / 100));
  const about = { type: "range", min: low, max: high, step, "aria-label": `${label}, slider` };
  const slider = add(row, "input", about);
  const box = add(row, "input", { type: "text", autocomplete: "off", "aria-label": label });
  const set = (value, typed) => {
    slider.value = figure.x[place] = value;
    if (!typed) box.value = shown(value, 30);
    box.ariaInvalid = null;
  };
  slider.addEventListener("input", () => { set(Number(slider.value)); changed(); });
  box.addEventListener("input", () => {
    const value = read(box.value);
    if (Number.isNaN(value) && box.value.trim().toLowerCase() !== "nan") box.ariaInvalid = "true";
    else { set(value, true); changed(); }
  });
  box.addEventListener("change", () => set(figure.x[place]));
  figure.resets.push(() => set(start));
  set(start);
  return add(row, "output");
};

// Step, Play or Pause, Reset. step() says whether there is more to come.
const player = (figure, pace, step, reset) => {
  const row = add(figure.controls, "div", { class: "buttons" });
  const [stepper, play, back] = ["Step", "Play", "Reset"].map((name) => add(row, "button", {}, name));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let timer = 0;
  const run = (on) => {
    clearTimeout(timer);
    timer = on && step() ? setTimeout(run, calm.matches ? Math.max(1500, pace) : pace, true) : 0;
    play.textContent = timer ? "Pause" : "Play";
    figure.told.ariaLive = timer && pace < 500 ? "off" : "polite";
  };
  stepper.addEventListener("click", () => { run(false); step(); });
  play.addEventListener("click", () => run(!timer));
  back.addEventListener("click", () => {
    run(false);
    figure.resets.forEach((one) => one());
    figure.told.textContent = figure.caption;
    reset();
  });
  figure.told = add(figure.controls, "p", { class: "told", "aria-live": "polite" }, figure.caption);
  return row;
};

// An expression: its graph, with all data and gradients; and the way back, a node at a time.
const graph = (figure) => {
  const { nodes, steps, x, inputs } = figure, n = nodes.length, last = steps.length + 1;
  const deep = Math.max(1, ...nodes.map((v) => v.depth));
  const levels = range(deep + 1).map((d) => range(n).filter((i) => nodes[i].depth === d));
  const most = Math.max(...levels.map((level) => level.length));
  const leads = ({ edges }, i) => edges.filter(({ child }) => child === i).length;
  const reached = range(n).map((i) => i === n - 1 ? 1 : 2 + steps.findIndex((step) => leads(step, i)));
  steps.flatMap(({ edges }) => edges).forEach((edge, q) => { edge.at = n * (last + 1) + 2 * q; });
  let y, at = last, resting = true, before = [];  // at: how many nodes have their gradient, or last
  const grad = (i, when = at) => when < reached[i] ? null : y[n * when + i];
  const text = (number, room) => number === null ? "?" : shown(number, room);

  const draw = () => {
    const width = figure.picture.clientWidth, flat = width >= 150 * (deep + 1);
    const w = flat ? 104 : Math.min(104, width / most - 6), h = 58, room = Math.floor((w - 40) / 7.2);
    const height = flat ? most * 74 : deep * 112 + h + 4;
    const spot = nodes.map(({ depth }, i) => {
      const along = flat ? mix(w / 2 + 2, width - w / 2 - 2, 1 - depth / deep) : 31 + (deep - depth) * 112;
      const across = (levels[depth].indexOf(i) + 0.5) / levels[depth].length * (flat ? height : width);
      return flat ? [along, across] : [across, along];
    });
    const all = nodes.map((v, i) => `${v.label}: data ${text(y[i], 30)}, grad ${text(grad(i), 30)}`);
    const svg = drawing(figure.picture, width, height, all.join("; "));
    for (const [k, { node, edges }] of steps.entries()) {
      const [px, py] = spot[node], { op } = nodes[node], wide = Math.max(22, 12 + 7.5 * op.length);
      const mouth = flat ? [px - w / 2 - wide, py] : [px, py - h / 2 - 20], now = !resting && k === at - 2;
      for (const [j, { child, at: place }] of edges.entries()) {
        const [cx, cy] = spot[child], from = flat ? [cx + w / 2, cy] : [cx, cy + h / 2];
        const [a, b] = now ? [mouth, from] : [from, mouth], turn = Math.atan2(b[1] - a[1], b[0] - a[0]);
        const barb = (by) => [b[0] - 8 * Math.cos(turn + by), b[1] - 8 * Math.sin(turn + by)];
        const kind = now ? " now" : "", share = flat ? 0.5 : 0.3 + 0.4 * (j % 2);
        add(svg, "path", { class: `edge${kind}`, d: line([a, b, barb(0.45), b, barb(-0.45)]) });
        if (!now && !resting) continue;
        const lower = (flat ? -6 : 5) + (leads({ edges: edges.slice(0, j) }, child) ? 16 : 0);
        const [tx, ty] = [0, 1].map((q) => mix(from[q], mouth[q], share));
        add(svg, "text", { class: `slope${kind}`, x: tx, y: ty + lower }, `× ${shown(y[place], 6)}`);
      }
      const [ox, oy] = flat ? [px - w / 2 - wide / 2, py] : [px, py - h / 2 - 10];
      add(svg, "rect", { class: "op", x: ox - wide / 2, y: oy - 10, width: wide, height: 20, rx: 10 });
      add(svg, "text", { class: "mid", x: ox, y: oy + 4 }, op);
    }
    const numbers = [];
    for (const [i, { label }] of nodes.entries()) {
      const now = !resting && (at === 1 ? i === n - 1 : leads(steps[at - 2], i));
      const box = add(svg, "g", { class: `node${grad(i) === null ? "" : " known"}${now ? " now" : ""}` });
      const left = spot[i][0] - w / 2, top = spot[i][1] - h / 2;
      add(box, "title", {}, all[i]);
      add(box, "rect", { x: left, y: top, width: w, height: h, rx: 4 });
      add(box, "text", { class: "mid name", x: spot[i][0], y: top + 16 }, label);
      for (const [row, what, number] of [[34, "data", y[i]], [51, "grad", grad(i)]]) {
        const old = before[numbers.length], one = text(number, room);
        numbers.push(number);
        add(box, "text", { x: left + 4, y: top + row }, what);
        const moved = old === undefined || Object.is(old, number) ? "" : " moved";
        add(box, "text", { class: `end${moved}`, x: left + w - 4, y: top + row }, one);
      }
    }
    before = numbers;
    rows.forEach((row, i) => {
      row.textContent = `grad ${text(grad(nodes.findIndex(({ label }) => label === inputs[i].label)))}`;
    });
  };
  const say = () => {
    if (at === 1) return `${nodes[n - 1].label} moves as fast as itself, so its gradient is 1.`;
    const { node, edges } = steps[at - 2], { label, op } = nodes[node];
    const shares = edges.map(({ child, slope, at: place }) => {
      const value = shown(y[place]), factor = slope.includes(" ") ? `(${slope})` : slope;
      const rule = slope === value ? "" : `${factor} × grad of ${label} = `;
      return `${nodes[child].label} gets ${rule}${value} × ${shown(grad(node))} = ${shown(y[place + 1])}`;
    });
    const sums = range(n).filter((i) => leads(steps[at - 2], i) + (grad(i, at - 1) !== null) > 1);
    const added = sums.map((i) => ` They add up: the gradient of ${nodes[i].label} is now ${shown(grad(i))}.`);
    return `Back through ${op}: ${shares.join(", and ")}.${added.join("")}`;
  };
  const compute = () => {
    figure.y = y = figure.run(x);
    if (!resting) figure.told.textContent = say();
    draw();
  };
  const rows = inputs.map((_, i) => input(figure, i, compute));
  player(figure, 2500, () => {
    at = resting || at === last ? 1 : at + 1;
    resting = false;
    compute();
    return at < last;
  }, () => {
    [at, resting] = [last, true];
    compute();
  });
  return compute;
};

// A curve, and steps down its slope.
const descent = (figure) => {
  const { x, inputs: [{ low, high, label }] } = figure, middle = (low + high) / 2;
  let path, half;
  const f = (at) => figure.run([at, x[1]]), here = () => path[path.length - 1];
  const draw = () => {
    const width = figure.picture.clientWidth, height = Math.round(Math.min(300, width * 0.6));
    while (Math.abs(here() - middle) > half && half < 1e7) half *= 2;
    const across = range(121).map((i) => mix(middle - half, middle + half, i / 120));
    const values = across.map((at) => f(at)[0]), bottom = Math.min(...values), top = Math.max(...values);
    const sx = (at) => mix(8, width - 8, (at - middle + half) / (2 * half));
    const spot = (at, y = f(at)[0]) => [sx(at), mix(height - 34, 12, (y - bottom) / (top - bottom))];
    const [y, slope] = f(here());
    const about = `${label} is ${shown(here())}, where the slope is ${shown(slope)}`;
    const svg = drawing(figure.picture, width, height, about);
    add(svg, "path", { class: "edge", d: line([[8, height - 22], [width - 8, height - 22]]) });
    for (const [i, kind] of [[0, ""], [30, "mid"], [60, "mid"], [90, "mid"], [120, "end"]]) {
      add(svg, "text", { class: kind, x: sx(across[i]), y: height - 6 }, shown(across[i], 7));
    }
    add(svg, "path", { class: "curve", d: line(across.map((at) => spot(at))) });
    if (!(Math.abs(here() - middle) <= half)) return;
    const ends = [-0.1, 0.1].map((part) => spot(here() + part * half, y + slope * part * half));
    add(svg, "path", { class: "edge now", d: line(ends) });
    const spots = path.map((at) => spot(at));
    add(svg, "path", { class: "trail", d: line(spots) });
    for (const [cx, cy] of spots) add(svg, "circle", { class: "dot", cx, cy, r: 3 });
    const [cx, cy] = spots[spots.length - 1];
    add(svg, "circle", { class: "dot", cx, cy, r: 6 });
  };
  const reset = () => {
    figure.path = path = [x[0]];
    half = (high - low) / 2;
  };
  input(figure, 0, () => { reset(); draw(); });
  input(figure, 1, () => {});
  player(figure, 700, () => {
    const old = here(), [, slope, next] = f(old), far = !(Math.abs(next) < Math.max(1e6, Math.abs(old))), still = Math.abs(next - old) < 1e-9;
    path.push(next);
    draw();
    const end = far ? " It has blown up." : !still ? "" : Math.abs(slope) < 1e-3 ? " It has arrived." : " It stands still.";
    const sum = `${shown(old)} - ${shown(x[1])} × ${shown(slope)} = ${shown(next)}`;
    figure.told.textContent = `Step ${path.length - 1}: ${sum}.${end}`;
    return !far && !still;
  }, () => { reset(); draw(); });
  reset();
  return draw;
};

// A network that learns: its losses, and the plane as it sees it if it has two inputs.
const training = (figure) => {
  const { x, inputs: [, u, v], steps } = figure, n = figure.trained, scratch = [];
  const plane = u && add(figure.picture, "canvas", { tabindex: 0, role: "img" });
  const pen = plane?.getContext("2d"), chart = add(figure.picture, "div");
  let p, rows, losses, cursor = null;
  const score = (...at) => figure.score(at, p)[0];
  const reset = () => {
    [p, rows, losses] = [[...figure.start], [...figure.rows], []];
    figure.losses = losses;
  };
  const paint = (size) => {
    const dense = Math.min(2, devicePixelRatio), columns = 84, tall = (v.high - v.low) / (u.high - u.low);
    const width = plane.width = Math.round(size * dense), height = plane.height = Math.round(width * tall);
    const cell = width / columns, up = Math.ceil(height / cell);
    const at = (a, b) => [(a - u.low) / (u.high - u.low) * width, (v.high - b) / (v.high - v.low) * height];
    const grid = range(up + 1).map((j) => range(columns + 1).map((i) =>
      score(mix(u.low, u.high, i * cell / width), mix(v.high, v.low, j * cell / height))));
    const image = pen.createImageData(width, height), side = new Uint8Array(width * height);
    const pixels = new Uint32Array(image.data.buffer), [black, blue, red] = [0xff000000, 0xfff5e3d4, 0xffd3d5f9];
    for (let q = 0; q < side.length; q++) {
      const i = q % width, fx = i / cell, fy = (q - i) / width / cell, c = Math.floor(fx), r = Math.floor(fy);
      const above = mix(grid[r][c], grid[r][c + 1], fx - c), below = mix(grid[r + 1][c], grid[r + 1][c + 1], fx - c);
      side[q] = mix(above, below, fy - r) > 0;
      const edge = i > 1 && side[q] !== side[q - 2] || q >= 2 * width && side[q] !== side[q - 2 * width];
      pixels[q] = edge ? black : side[q] ? blue : red;
    }
    pen.putImageData(image, 0, 0);
    pen.lineWidth = dense;
    for (const [a, b, label] of rows) {
      const [cx, cy] = at(a, b), r = 5 * dense;
      pen.beginPath();
      if (label > 0) pen.arc(cx, cy, r, 0, 7);
      else for (const [dx, dy] of [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]]) pen.lineTo(cx + dx * r, cy + dy * r);
      pen.closePath();
      pen.fillStyle = label > 0 ? "#1f77b4" : "#d62728";
      pen.fill();
      pen.stroke();
    }
    const [cx, cy] = cursor ? at(...cursor) : [-99, -99], r = 12 * dense;
    pen.stroke(new Path2D(`M${cx - r} ${cy}h${2 * r}M${cx} ${cy - r}v${2 * r}`));
  };
  const draw = () => {
    const width = Math.min(560, figure.picture.clientWidth), height = 110, k = losses.length;
    if (plane) paint(width);
    const right = rows.filter((row) => row[row.length - 1] * score(...row.slice(0, -1)) > 0).length;
    const state = `${right} of ${rows.length} points are on the right side.`;
    if (plane) plane.ariaLabel = `The plane: ${state} Arrow keys move a cross, Enter adds a point.`;
    const known = losses.filter((loss) => loss > 0 && loss < inf);
    const low = Math.min(0.01, ...known), high = Math.max(2, ...known), fall = Math.log(high / low);
    const sy = (loss) => mix(8, height - 20, Math.log(high / Math.min(high, Math.max(low, loss))) / fall);
    const about = `The losses so far: ${losses.map((loss) => shown(loss)).join(" ")}`;
    const svg = drawing(chart, width, height, about);
    add(svg, "path", { class: "edge", d: line([[48, 6], [48, height - 20], [width - 8, height - 20]]) });
    for (const tick of [0.01, 1, high > 100 ? high : 0.1]) {
      add(svg, "text", { class: "end", x: 44, y: sy(tick) + 4 }, shown(tick, 5));
    }
    add(svg, "text", { class: "mid", x: width / 2, y: height - 4 }, "loss, at each step");
    if (!k) return;
    const spots = losses.map((loss, i) => [mix(48, width - 8, i / Math.max(steps, k - 1)), sy(loss)]);
    add(svg, "path", { class: "curve", d: line(spots.filter(([, y]) => !Number.isNaN(y))) });
    figure.told.textContent = `Step ${k - 1}: the loss was ${shown(losses[k - 1])}. Now ${state}`;
  };
  const step = () => {
    const g = Array(n + 1).fill(0), [rate] = figure.rate([x[0], Math.min(losses.length, steps)]);
    for (const row of rows) figure.each(p, row, scratch, g);
    figure.once(p, [rows.length], scratch, g);
    p = p.map((old, i) => i < n ? figure.update([old, g[i] / rows.length, rate])[0] : old);
    losses.push(g[n] / rows.length);
    draw();
    return losses.length % steps !== 0;
  };
  input(figure, 0, () => {});
  const buttons = player(figure, plane ? 40 : 300, step, () => { reset(); draw(); });
  reset();
  if (!plane) return draw;
  const choice = add(buttons, "select", { "aria-label": "which point a click adds" });
  for (const name of ["add a red triangle", "add a blue circle"]) add(choice, "option", {}, name);
  const put = (a, b) => { rows.push([a, b, 2 * choice.selectedIndex - 1]); draw(); };
  plane.addEventListener("click", ({ offsetX, offsetY }) => put(
    mix(u.low, u.high, offsetX / plane.clientWidth), mix(v.high, v.low, offsetY / plane.clientHeight)));
  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  plane.addEventListener("keydown", (event) => {
    const move = event.key === "Enter" ? [0, 0] : MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    cursor = [u, v].map(({ low, high }, q) =>
      Math.min(high, Math.max(low, (cursor?.[q] ?? (low + high) / 2) + 0.05 * move[q])));
    if (event.key === "Enter") put(...cursor);
    draw();
  });
  plane.addEventListener("blur", () => { cursor = null; draw(); });
  return draw;
};

const KINDS = { graph, descent, training };
document.querySelectorAll(".play").forEach((box, i) => {
  const figure = box.live = FIGURES[i];
  [box.role, box.ariaLabel] = ["group", "live figure"];
  [figure.x, figure.resets] = [figure.inputs.map(({ start }) => start), []];
  [figure.picture, figure.controls] = ["picture", "controls"].map((name) => add(box, "div", { class: name }));
  const draw = KINDS[figure.kind](figure);
  box.closest("figure").classList.add("played");
  let width = figure.picture.clientWidth;
  if (width) draw();
  new ResizeObserver(() => {
    if (figure.picture.clientWidth !== width) requestAnimationFrame(draw);
    width = figure.picture.clientWidth;
  }).observe(figure.picture);
});
})();
