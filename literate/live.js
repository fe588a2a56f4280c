// The live figures. All that they compute, the document's own compiler has printed, in FIGURES.
(() => {
const nan = NaN, inf = Infinity;
const word = new Int32Array(2), double = new Float64Array(word.buffer);
const where = (condition, yes, no) => condition ? yes : no;
const divide = (a, b) => a / b;
const two = (n) => { word[0] = 0; word[1] = (n + 1023) << 20; return double[0]; };
const exponent = (x) => { double[0] = x; return (word[1] >> 20) - 1023; };
const FIGURES = [/* here */];

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const DRAWN = new Set(["svg", "g", "path", "rect", "circle", "text", "title"]);
const add = (to, tag, attributes = {}, text = "") => {
  const node = DRAWN.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  to.append(node);
  return node;
};
const canvas = (to, width, height, label) => {
  to.textContent = "";
  return add(to, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
};
const line = (points) => "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
const drawn = (box, draw) => {
  let width = 0;
  const look = () => {
    if (box.clientWidth !== width) requestAnimationFrame(draw);
    width = box.clientWidth;
  };
  new ResizeObserver(look).observe(box);
};

// A number in at most so many letters, with as many of its digits as fit.
const NAMES = { NaN: "nan", Infinity: "inf", "-Infinity": "-inf" };
const shown = (x, room = 9) => {
  if (!Number.isFinite(x)) return NAMES[x];
  const texts = [17, 6, 5, 4, 3, 2, 1].map((n) => String(Number(x.toPrecision(n)) || 0).replace("e+", "e"));
  return texts.find((text) => text.length <= room) ?? texts[6];
};
const read = (text) => {
  const name = text.trim().toLowerCase().replace(/^\+/, "");
  const special = Object.keys(NAMES).find((key) => NAMES[key] === name);
  return special ? Number(special) : name ? Number(name) : NaN;
};

// A row for an input: its name, a slider, a box that takes any number, and room for more.
const input = (figure, place, changed) => {
  const { label, low, high, start } = figure.inputs[place];
  const row = add(figure.controls, "div", { class: "input" });
  add(row, "span", { class: "name" }, label);
  const step = 10 ** Math.floor(Math.log10((high - low) / 100));
  const slider = add(row, "input", { type: "range", min: low, max: high, step, "aria-label": `${label}, slider` });
  const box = add(row, "input", { type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": label });
  const set = (value, typed) => {
    figure.x[place] = value;
    slider.value = value;
    if (!typed) box.value = shown(value, 24);
    box.ariaInvalid = null;
  };
  slider.addEventListener("input", () => { set(Number(slider.value)); changed(place); });
  box.addEventListener("input", () => {
    const value = read(box.value);
    box.ariaInvalid = "true";
    if (Number.isNaN(value) && !/^\s*nan\s*$/i.test(box.value)) return;
    set(value, true);
    changed(place);
  });
  box.addEventListener("change", () => set(figure.x[place]));
  set(start);
  return { told: add(row, "output"), reset: () => set(start) };
};

// Step, Play or Pause, Reset. step() says whether there is more to come.
const player = (figure, pace, step, reset) => {
  const row = add(figure.controls, "div", { class: "buttons" });
  const button = (name, act) => {
    const made = add(row, "button", { type: "button" }, name);
    made.addEventListener("click", act);
    return made;
  };
  let timer = 0;
  const run = (on) => {
    clearTimeout(timer);
    timer = on && step() ? setTimeout(run, calm.matches ? 1500 : pace, true) : 0;
    play.textContent = timer ? "Pause" : "Play";
    figure.told.ariaLive = timer && pace < 500 ? "off" : "polite";
  };
  button("Step", () => { run(false); step(); });
  const play = button("Play", () => run(!timer));
  button("Reset", () => { run(false); reset(); });
  figure.told = add(figure.controls, "p", { class: "told" }, figure.caption);
  return row;
};

// An expression: its graph, with all data and gradients; and the way back, a node at a time.
const graph = (figure) => {
  const { nodes, steps, x, inputs } = figure, n = nodes.length, last = steps.length + 1;
  const reached = nodes.map((_, i) => i === n - 1 ? 1 : 2 + steps.findIndex(({ edges }) => edges.some(({ child }) => child === i)));
  let y = [], at = last, resting = true, before = [];
  const data = (i) => y[i];
  const grad = (i, when = at) => when < reached[i] ? null : y[n * when + i];
  let place = n * (last + 1);
  for (const { edges } of steps) for (const edge of edges) { edge.at = place; place += 2; }

  const draw = () => {
    const width = figure.picture.clientWidth, deep = Math.max(1, ...nodes.map((v) => v.depth));
    const levels = Array.from({ length: deep + 1 }, (_, d) => [...nodes.keys()].filter((i) => nodes[i].depth === d));
    const most = Math.max(...levels.map((level) => level.length)), flat = width >= 150 * (deep + 1);
    const w = flat ? 112 : Math.min(112, width / most - 6), h = 58, room = flat ? 9 : 6;
    const height = flat ? most * 74 : deep * 112 + h + 4;
    const spot = nodes.map(({ depth }, i) => {
      const along = flat ? w / 2 + 2 + (width - w - 4) * (1 - depth / deep) : h / 2 + 2 + (deep - depth) * 112;
      const across = (levels[depth].indexOf(i) + 0.5) / levels[depth].length * (flat ? height : width);
      return flat ? [along, across] : [across, along];
    });
    const told = nodes.map((v, i) => `${v.label}: data ${shown(data(i), 24)}, grad ${grad(i) === null ? "not known yet" : shown(grad(i), 24)}`);
    const svg = canvas(figure.picture, width, height, told.join("; "));
    for (const [k, { node, edges }] of steps.entries()) {
      const [px, py] = spot[node], { op } = nodes[node], wide = Math.max(22, 12 + 7.5 * op.length);
      const mouth = flat ? [px - w / 2 - wide, py] : [px, py - h / 2 - 20];
      for (const [j, { child, at: place }] of edges.entries()) {
        const now = !resting && k === at - 2, [cx, cy] = spot[child];
        const from = flat ? [cx + w / 2, cy] : [cx, cy + h / 2];
        const twice = edges.slice(0, j).some((edge) => edge.child === child) ? 12 : 0;
        const [a, b] = now ? [mouth, from] : [from, mouth], angle = Math.atan2(b[1] - a[1], b[0] - a[0]);
        const barb = (turn) => [b[0] - 8 * Math.cos(angle + turn), b[1] - 8 * Math.sin(angle + turn)];
        add(svg, "path", { class: now ? "edge now" : "edge", d: line([a, b, barb(0.45), b, barb(-0.45)]) });
        if (now || resting) {
          const [tx, ty] = [0, 1].map((q) => from[q] + (mouth[q] - from[q]) * (flat ? 0.5 : 0.3 + 0.4 * (j % 2)));
          add(svg, "text", { class: now ? "slope now" : "slope", x: tx, y: ty + (flat ? -5 : 5) + twice }, `× ${shown(y[place], 6)}`);
        }
      }
      const [ox, oy] = flat ? [px - w / 2 - wide / 2, py] : [px, py - h / 2 - 10];
      add(svg, "rect", { class: "op", x: ox - wide / 2, y: oy - 10, width: wide, height: 20, rx: 10 });
      add(svg, "text", { class: "mid", x: ox, y: oy + 4 }, op);
    }
    const texts = [];
    for (const [i, v] of nodes.entries()) {
      const now = !resting && (at === 1 ? i === n - 1 : steps[at - 2].edges.some(({ child }) => child === i));
      const box = add(svg, "g", { class: `node ${grad(i) === null ? "" : "known"} ${now ? "now" : ""}` });
      const [left, top] = [spot[i][0] - w / 2, spot[i][1] - h / 2];
      add(box, "title", {}, told[i]);
      add(box, "rect", { x: left, y: top, width: w, height: h, rx: 4 });
      add(box, "text", { class: "mid name", x: spot[i][0], y: top + 16 }, v.label);
      for (const [row, what, number] of [[1, "data", data(i)], [2, "grad", grad(i)]]) {
        const text = number === null ? "?" : shown(number, room), y = top + 17 + 17 * row;
        add(box, "text", { x: left + 5, y }, what);
        add(box, "text", { class: text !== (before[texts.length] ?? text) ? "end moved" : "end", x: left + w - 5, y }, text);
        texts.push(text);
      }
    }
    before = texts;
    rows.forEach(({ told }, i) => {
      const g = grad(nodes.findIndex(({ label }) => label === inputs[i].label));
      told.textContent = `grad ${g === null ? "?" : shown(g)}`;
    });
  };
  const say = () => {
    if (at === 1) return `${nodes[n - 1].label} moves as fast as itself, so its gradient is 1.`;
    const { node, edges } = steps[at - 2], { label, op } = nodes[node];
    const arrived = [...new Set(edges.map(({ child }) => child))].filter((i) => grad(i, at - 1) !== null || edges.filter(({ child }) => child === i).length > 1);
    const shares = edges.map(({ child, slope, at: place }) => {
      const value = shown(y[place]), text = slope === value ? "" : `${slope} × grad of ${label} = `;
      return `${nodes[child].label} gets ${text}${value} × ${shown(grad(node))} = ${shown(y[place + 1])}`;
    });
    const sums = arrived.map((i) => `; there it is added up: ${nodes[i].label} has ${shown(grad(i))}`);
    return `Back through ${op}: ${shares.join(", and ")}${sums.join("")}.`;
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
    figure.told.textContent = figure.caption;
    rows.forEach((row) => row.reset());
    compute();
  });
  y = figure.run(x);
  return compute;
};

// A curve, and steps down its slope.
const descent = (figure) => {
  const { x, inputs: [{ low, high, label }, { label: name }] } = figure;
  let path, zoom;
  const f = (at) => figure.run([at, x[1]]);
  const draw = () => {
    const width = figure.picture.clientWidth, height = Math.round(Math.min(300, width * 0.6));
    const here = path[path.length - 1], middle = (low + high) / 2;
    while (Math.abs(here - middle) > zoom * (high - low) / 2 && zoom < 1e12) zoom *= 2;
    const half = zoom * (high - low) / 2, across = Array.from({ length: 121 }, (_, i) => middle + half * (i - 60) / 60);
    const values = across.map((at) => f(at)[0]), [bottom, top] = [Math.min(...values), Math.max(...values)];
    const sx = (at) => 8 + (width - 16) * (at - middle + half) / (2 * half);
    const sy = (at) => height - 34 - (height - 46) * (at - bottom) / (top - bottom);
    const [y, slope] = f(here), told = `${path.length - 1} steps; ${label} = ${shown(here)}, y = ${shown(y)}, slope ${shown(slope)}`;
    const svg = canvas(figure.picture, width, height, told);
    add(svg, "path", { class: "axis", d: line([[8, height - 22], [width - 8, height - 22]]) });
    for (const i of [0, 30, 60, 90, 120]) {
      const anchor = ["start", "middle", "end"][Math.sign(i - 60) * (i % 60 ? 0 : 1) + 1];
      add(svg, "text", { x: sx(across[i]), y: height - 6, "text-anchor": anchor }, shown(across[i], 7));
    }
    add(svg, "path", { class: "curve", d: line(across.map((at, i) => [sx(at), sy(values[i])])) });
    const spots = path.filter((at) => Math.abs(at - middle) <= half).map((at) => [sx(at), sy(f(at)[0])]);
    if (!spots.length) return;
    const reach = 0.12 * half, [a, b] = [here - reach, here + reach].map((at) => [sx(at), sy(y + slope * (at - here))]);
    if (Number.isFinite(a[1] + b[1])) add(svg, "path", { class: "tangent", d: line([a, b]) });
    add(svg, "path", { class: "trail", d: line(spots) });
    for (const [i, [cx, cy]] of spots.entries()) add(svg, "circle", { class: "dot", cx, cy, r: i === spots.length - 1 ? 6 : 3.5 });
  };
  const reset = () => { path = [x[0]]; zoom = 1; figure.path = path; };
  const rows = [0, 1].map((i) => input(figure, i, (place) => { if (place === 0) { reset(); draw(); } }));
  player(figure, 700, () => {
    const here = path[path.length - 1], [, slope, next] = f(here);
    path.push(next);
    draw();
    const far = !(Math.abs(next) < 1e12), still = Math.abs(next - here) < 1e-9;
    figure.told.textContent = `Step ${path.length - 1}: ${shown(here)} - ${shown(x[1])} × ${shown(slope)} = ${shown(next)}.`
      + (far ? " It has blown up." : still ? " It has arrived." : "");
    return !far && !still;
  }, () => {
    rows.forEach((row) => row.reset());
    reset();
    figure.told.textContent = figure.caption;
    draw();
  });
  reset();
  return draw;
};

// A network that learns points: the plane as it sees it, and its losses.
const training = (figure) => {
  const { x, inputs: [, u, v], steps } = figure, n = figure.parameters.length;
  const plane = add(figure.picture, "canvas", { tabindex: 0, role: "img" }), pen = plane.getContext("2d");
  const chart = add(figure.picture, "div");
  const ratio = (v.high - v.low) / (u.high - u.low), COLUMNS = 84, ROWS = Math.round(COLUMNS * ratio);
  let p, rows, k, losses, cursor = null;
  const scratch = [];
  const score = (a, b) => figure.score([a, b], p)[0];
  const reset = () => {
    [p, rows, k, losses] = [[...figure.parameters], figure.rows.map((row) => [...row]), 0, []];
    figure.losses = losses;
  };
  const paint = () => {
    const size = Math.min(560, figure.picture.clientWidth), dense = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [Math.round(size * dense), Math.round(size * ratio * dense)];
    if (plane.width !== width || plane.height !== height) [plane.width, plane.height] = [width, height];
    const grid = Array.from({ length: ROWS + 1 }, (_, j) => Float64Array.from({ length: COLUMNS + 1 }, (_, i) =>
      score(u.low + (u.high - u.low) * i / COLUMNS, v.high - (v.high - v.low) * j / ROWS)));
    const image = pen.createImageData(width, height), signs = new Uint8Array(width * height);
    for (let j = 0, q = 0; j < height; j++) {
      const fy = j / height * ROWS, row = Math.floor(fy), dy = fy - row;
      for (let i = 0; i < width; i++, q++) {
        const fx = i / width * COLUMNS, column = Math.floor(fx), dx = fx - column, [a, b] = [grid[row], grid[row + 1]];
        const s = (a[column] * (1 - dx) + a[column + 1] * dx) * (1 - dy) + (b[column] * (1 - dx) + b[column + 1] * dx) * dy;
        signs[q] = s > 0;
        const edge = i > 1 && signs[q] !== signs[q - 2] || j > 1 && signs[q] !== signs[q - 2 * width];
        image.data.set(edge ? [0, 0, 0, 255] : s > 0 ? [212, 227, 245, 255] : [249, 213, 211, 255], 4 * q);
      }
    }
    pen.putImageData(image, 0, 0);
    pen.lineWidth = dense;
    const at = (a, b) => [(a - u.low) / (u.high - u.low) * width, (v.high - b) / (v.high - v.low) * height];
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
    if (cursor) {
      const [cx, cy] = at(...cursor), r = 12 * dense;
      pen.stroke(new Path2D(`M${cx - r} ${cy}h${2 * r}M${cx} ${cy - r}v${2 * r}`));
    }
    plot();
  };
  const plot = () => {
    const right = rows.filter(([a, b, label]) => (label > 0) === (score(a, b) > 0)).length;
    const state = `After ${k} steps, ${right} of ${rows.length} points are on the right side.`;
    plane.ariaLabel = `${state} Arrow keys move a cross, Enter adds a point there.`;
    const width = Math.min(560, figure.picture.clientWidth), height = 110;
    const svg = canvas(chart, width, height, k ? `the losses, from ${shown(losses[0])} to ${shown(losses[k - 1])}` : "no losses yet");
    const finite = losses.filter((loss) => loss > 0 && loss < inf), [low, high] = [Math.min(0.01, ...finite), Math.max(2, ...finite)];
    const sy = (loss) => 8 + (height - 30) * Math.log(high / Math.max(loss, low)) / Math.log(high / low);
    const spots = losses.map((loss, i) => [44 + (width - 52) * i / Math.max(steps, k - 1), sy(Math.min(loss, high))]);
    add(svg, "path", { class: "axis", d: line([[44, 6], [44, height - 20], [width - 8, height - 20]]) });
    for (const loss of [0.01, 0.1, 1]) add(svg, "text", { class: "end", x: 40, y: sy(loss) + 4 }, String(loss));
    add(svg, "text", { class: "mid", x: width / 2, y: height - 4 }, "loss, at each step");
    if (k) add(svg, "path", { class: "curve", d: line(spots.filter((spot) => spot[1] === spot[1])) });
    if (k) figure.told.textContent = `Step ${k - 1}: the loss was ${shown(losses[k - 1])}. ${state}`;
  };
  const step = () => {
    const g = new Array(n + 1).fill(0);
    for (const row of rows) figure.each(p, row, scratch, g);
    figure.once(p, [rows.length], scratch, g);
    const [rate] = figure.rate([x[0], Math.min(k, steps)]);
    p = p.map((value, i) => i < n ? figure.update([value, g[i] / rows.length, rate])[0] : value);
    losses.push(g[n] / rows.length);
    k++;
    paint();
    return k % steps !== 0;
  };
  const row = input(figure, 0, () => {});
  const side = add(player(figure, 40, step, () => {
    row.reset();
    reset();
    figure.told.textContent = figure.caption;
    paint();
  }), "select", { "aria-label": "which point a click adds" });
  for (const name of ["add a red triangle", "add a blue circle"]) add(side, "option", {}, name);
  const put = (a, b) => { rows.push([a, b, 2 * side.selectedIndex - 1]); paint(); };
  plane.addEventListener("click", ({ offsetX, offsetY }) => put(
    u.low + (u.high - u.low) * offsetX / plane.clientWidth, v.high - (v.high - v.low) * offsetY / plane.clientHeight));
  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  plane.addEventListener("keydown", (event) => {
    cursor ??= [(u.low + u.high) / 2, (v.low + v.high) / 2];
    const [dx, dy] = MOVES[event.key] ?? [0, 0];
    if (event.key === "Enter") put(...cursor);
    else if (!dx && !dy) return;
    cursor = [Math.min(u.high, Math.max(u.low, cursor[0] + 0.05 * dx)), Math.min(v.high, Math.max(v.low, cursor[1] + 0.05 * dy))];
    event.preventDefault();
    paint();
  });
  plane.addEventListener("blur", () => { cursor = null; paint(); });
  reset();
  return paint;
};

const KINDS = { graph, descent, training };
document.querySelectorAll(".play").forEach((box, i) => {
  const figure = box.live = FIGURES[i];
  figure.x = figure.inputs.map(({ start }) => start);
  box.role = "group";
  box.ariaLabel = "live figure";
  figure.picture = add(box, "div", { class: "picture" });
  figure.controls = add(box, "div");
  const draw = KINDS[figure.kind](figure);
  box.closest("figure").classList.add("played");
  drawn(figure.picture, draw);
});
})();
