/**
 * A page that shows a trace: the diagram, the list of lines beside it, and what
 * a person does with mouse and keys. Runs in a browser, on the data that
 * `trace_page.ts` writes into the page.
 *
 * @module
 */
import {
  drawOverview,
  drawTimeline,
  HEADING_HEIGHT,
  layLanes,
  ribbonSlots,
} from "./drawing.js";
import { firstAtLeast, lineFilter, selectRows } from "./rows.js";
import { formatMs, ROW_HEIGHT, Scale } from "./scale.js";

/** Rows of the list that are kept beyond those in view. */
const SPARE_ROWS = 12;

/** Fills the page and listens. */
export function showTrace(data) {
  const byId = (id) => document.getElementById(id);
  const canvas = byId("canvas");
  const overview = byId("overview");
  const list = byId("list");
  const space = byId("space");
  const tip = byId("tip");

  const { lanes, messages, operations, spans } = data;
  const times = data.events.map(([at]) => at);
  const placeOf = data.events.map(([, place]) => data.places[place]);
  const kindOf = data.events.map(([, , kind]) => data.kinds[kind]);
  const textOf = data.events.map(([, , , text]) => text);
  const messageOf = new Map();
  messages.forEach((message) => {
    for (const index of [message.sent, message.received, message.lost]) {
      if (index !== undefined) messageOf.set(index, message);
    }
  });
  const operationOf = new Map();
  operations.forEach((operation) => {
    operationOf.set(operation.begin, operation);
    if (operation.end !== undefined) operationOf.set(operation.end, operation);
  });
  const route = (index) => {
    const message = messageOf.get(index);
    return message === undefined
      ? ""
      : `#${message.id} ${message.from} \u2192 ${message.to} `;
  };
  const searched = textOf.map((text, index) =>
    `${placeOf[index]} ${kindOf[index]} ${route(index)}${text}`.toLowerCase()
  );
  const world = [...kindOf.keys()].filter((index) =>
    placeOf[index] === "world"
  );

  const scale = new Scale(times);
  const slots = ribbonSlots(spans);
  const state = {
    pinned: undefined,
    hovered: undefined,
    related: new Set(),
    left: 0,
    hiddenPlaces: new Set(),
    hiddenKinds: new Set(),
    filter: "",
    hits: [],
    layout: layLanes(lanes, 800),
    colors: {},
    patterns: {},
    size: { width: 1, height: 1 },
  };

  // What is drawn. One frame at most is under way, however many reasons there are.
  let frame = 0;
  const redraw = () => {
    if (frame === 0) frame = requestAnimationFrame(draw);
  };
  function draw() {
    frame = 0;
    const ctx = canvas.getContext("2d");
    const { width, height } = state.size;
    ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    const shown = (index) => scale.ranks[index + 1] > scale.ranks[index];
    const page = {
      ...state,
      width,
      height,
      scale,
      slots,
      lanes,
      messages,
      operations,
      spans,
      world,
      kindOf,
      placeOf,
      textOf,
      shown,
    };
    state.hits = drawTimeline(ctx, page);
    const side = overview.getContext("2d");
    side.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    drawOverview(side, {
      ...page,
      width: overview.clientWidth,
      height: overview.clientHeight,
    });
    const top = scale.mode === "steps" && scale.unit === ROW_HEIGHT
      ? scale.top * ROW_HEIGHT
      : scale.rowAt(0) * ROW_HEIGHT;
    if (!listLeads && Math.abs(list.scrollTop - top) >= 1) {
      expectedScroll = top;
      list.scrollTop = top;
    }
    listLeads = false;
    drawList();
  }

  // The list scrolls the diagram and the other way round; each leads for one frame.
  let listLeads = false;
  let expectedScroll = -1;
  list.addEventListener("scroll", () => {
    if (Math.abs(list.scrollTop - expectedScroll) < 1.5) {
      expectedScroll = -1;
      return drawList();
    }
    expectedScroll = -1;
    const row = list.scrollTop / ROW_HEIGHT;
    if (scale.mode === "steps") scale.moveTo(row);
    else {
      const { rows } = scale;
      const at = Math.min(rows.length - 1, Math.floor(row));
      if (at >= 0) scale.moveTo(times[rows[at]]);
    }
    listLeads = true;
    redraw();
  });

  function drawList() {
    const { rows } = scale;
    space.style.height = `${rows.length * ROW_HEIGHT + 40}px`;
    byId("nothing").hidden = rows.length > 0;
    const first = Math.max(
      0,
      Math.floor(list.scrollTop / ROW_HEIGHT) - SPARE_ROWS,
    );
    const last = Math.min(
      rows.length,
      Math.ceil((list.scrollTop + list.clientHeight) / ROW_HEIGHT) + SPARE_ROWS,
    );
    const elements = [];
    for (let row = first; row < last; row++) {
      elements.push(rowElement(rows[row], row));
    }
    space.replaceChildren(...elements);
    if (state.pinned === undefined) {
      list.removeAttribute("aria-activedescendant");
    } else list.setAttribute("aria-activedescendant", `row${state.pinned}`);
  }

  function rowElement(index, row) {
    const element = document.createElement("div");
    element.id = `row${index}`;
    element.className = `row ${kindOf[index]}`;
    const level = kindOf[index] === "log" ? textOf[index].split(" ", 1)[0] : "";
    if (level === "warn" || level === "error") element.classList.add(level);
    if (index === state.pinned) element.classList.add("pinned");
    if (index === state.hovered) element.classList.add("hovered");
    if (state.related.has(index)) element.classList.add("related");
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", String(index === state.pinned));
    element.style.top = `${row * ROW_HEIGHT}px`;
    element.dataset.index = String(index);
    const cells = [["at", formatMs(times[index])], ["place", placeOf[index]], [
      "kind",
      kindOf[index],
    ]];
    for (const [name, text] of cells) element.append(cell(name, text));
    const text = cell("text", textOf[index]);
    if (route(index) !== "") text.prepend(cell("route", route(index)));
    element.append(text);
    return element;
  }

  function cell(name, text) {
    const element = document.createElement("span");
    element.className = name;
    element.textContent = text;
    return element;
  }

  // What belongs to an event: the other end of its message, the ends of its operation.
  function relatedTo(index) {
    const related = new Set();
    if (index === undefined) return related;
    related.add(index);
    const message = messageOf.get(index);
    const operation = operationOf.get(index);
    for (
      const other of [
        message?.sent,
        message?.received,
        message?.lost,
        operation?.begin,
        operation?.end,
      ]
    ) {
      if (other !== undefined) related.add(other);
    }
    return related;
  }

  function pin(index, { middle = false, reveal = true } = {}) {
    state.pinned = index;
    state.related = relatedTo(index ?? state.hovered);
    if (index !== undefined && reveal) scale.reveal(index, middle);
    describe();
    redraw();
  }

  function hover(index) {
    if (index === state.hovered) return;
    state.hovered = index;
    state.related = relatedTo(index ?? state.pinned);
    redraw();
  }

  function describe() {
    const detail = byId("detail");
    const index = state.pinned;
    if (index === undefined) {
      detail.replaceChildren(hint());
      return;
    }
    const code = document.createElement("code");
    code.textContent = `${formatMs(times[index])} ms  ${placeOf[index]}  ${
      kindOf[index]
    }  ${route(index)}${textOf[index]}`;
    const parts = [code];
    const message = messageOf.get(index);
    if (message !== undefined) {
      parts.push(paragraph(
        message.received === undefined
          ? `Message ${message.id} never arrived. `
          : `Message ${message.id} took ${
            formatMs(times[message.received] - times[message.sent])
          } ms. `,
        message.received === undefined
          ? undefined
          : ["Other end", "m", otherEnd],
      ));
    }
    const operation = operationOf.get(index);
    if (operation !== undefined) {
      const { id, key, input, result, outcome, begin, end } = operation;
      const took = end === undefined
        ? "never returned"
        : `${outcome} after ${formatMs(times[end] - times[begin])} ms`;
      parts.push(paragraph(
        `Operation ${id} on ${key}: ${input}, ${took}${
          result === "" ? "" : `: ${result}`
        }. ${operation.violated ? "A violation names it. " : ""}`,
        end === undefined ? undefined : ["Other end", "m", otherEnd],
      ));
    }
    const around = spans.filter((span) =>
      span.begin <= index && (span.end ?? Infinity) >= index
    );
    if (around.length > 0) {
      parts.push(
        paragraph(
          `Meanwhile: ${
            around.map(({ kind, text, hosts }) =>
              kind === "down" ? `${hosts[0]} is down` : text
            ).join("; ")
          }`,
        ),
      );
    }
    detail.replaceChildren(...parts);
  }

  function paragraph(text, action) {
    const element = document.createElement("p");
    element.append(text);
    if (action !== undefined) {
      const [name, key, act] = action;
      const button = document.createElement("button");
      button.append(`${name} `);
      const shortcut = document.createElement("kbd");
      shortcut.textContent = key;
      button.append(shortcut);
      button.addEventListener("click", act);
      element.append(button);
    }
    return element;
  }

  function hint() {
    const element = document.createElement("p");
    element.textContent =
      "Point at something to read it, click to keep it here. Arrow keys go line by line; ? lists all keys.";
    return element;
  }

  function otherEnd() {
    const ends = [...relatedTo(state.pinned)].filter((index) =>
      index !== state.pinned
    );
    if (ends.length > 0) pin(ends[0]);
  }

  // Which lines are shown.
  function select() {
    const anchor = state.pinned ??
      scale.rows[Math.min(scale.rows.length - 1, scale.rowAt(0))] ?? 0;
    const y = scale.y(anchor);
    const { rows, ranks } = selectRows(searched, {
      ...state,
      filter: lineFilter(state.filter),
      placeOf,
      kindOf,
    });
    scale.setRows(rows, ranks);
    byId("count").textContent = rows.length === times.length
      ? `${formatMs(rows.length, 1)} events`
      : `${formatMs(rows.length, 1)} of ${formatMs(times.length, 1)} events`;
    // What was looked at stays where it was, as far as possible.
    scale.moveTo(scale.position(anchor) - y / scale.unit);
    redraw();
  }

  function toggle(set, name) {
    if (!set.delete(name)) set.add(name);
    select();
  }

  const chips = byId("kinds");
  data.kinds.forEach((kind, number) => {
    const button = document.createElement("button");
    button.setAttribute("aria-pressed", "true");
    button.append(`${kind} `);
    const count = document.createElement("small");
    count.textContent = String(
      data.events.filter(([, , other]) => other === number).length,
    );
    button.append(count);
    button.title = "Click hides or shows, double click shows this kind alone";
    button.addEventListener("click", () => toggle(state.hiddenKinds, kind));
    button.addEventListener("dblclick", () => {
      const alone = state.hiddenKinds.size === data.kinds.length - 1 &&
        !state.hiddenKinds.has(kind);
      state.hiddenKinds = new Set(
        alone ? [] : data.kinds.filter((other) => other !== kind),
      );
      select();
    });
    chips.append(button);
  });
  const refreshChips = () => {
    [...chips.children].forEach((button, number) =>
      button.setAttribute(
        "aria-pressed",
        String(!state.hiddenKinds.has(data.kinds[number])),
      )
    );
  };
  chips.addEventListener("click", refreshChips);
  chips.addEventListener("dblclick", refreshChips);
  byId("filter").addEventListener("input", (event) => {
    state.filter = event.target.value;
    select();
  });

  for (const button of byId("violations").querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const { event, operations: ids } =
        data.violations[Number(button.dataset.index)];
      const operation = operations.find(({ id }) => ids.includes(id));
      const index = operation?.begin ?? event;
      if (index !== undefined) pin(index, { middle: true });
    });
  }

  // Scale and look.
  function setMode(mode) {
    const middle = scale
      .rows[Math.min(scale.rows.length - 1, scale.rowAt(scale.height / 2))] ??
      0;
    scale.setMode(mode, state.pinned ?? middle);
    byId("steps").setAttribute("aria-pressed", String(mode === "steps"));
    byId("time").setAttribute("aria-pressed", String(mode === "time"));
    redraw();
  }
  function zoom(factor, y = scale.height / 2) {
    scale.zoom(factor, y);
    redraw();
  }
  function fit() {
    scale.fit();
    redraw();
  }
  byId("steps").addEventListener("click", () => setMode("steps"));
  byId("time").addEventListener("click", () => setMode("time"));
  byId("zoom-in").addEventListener("click", () => zoom(1.5));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  byId("fit").addEventListener("click", fit);
  byId("theme").addEventListener("click", () => {
    const dark =
      getComputedStyle(document.documentElement).colorScheme === "dark" ||
      !document.documentElement.dataset.theme &&
        matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    readColors();
  });
  byId("help").addEventListener("click", () => byId("keys").showModal());

  function readColors() {
    const probe = document.createElement("i");
    document.body.append(probe);
    const names =
      "surface raised ink muted faint grid lifeline accent hover pin view-fill message lost ok failed unknown violation fault phase down down-fill pause pause-fill network network-fill clock clock-fill disk disk-fill"
        .split(" ");
    for (const name of names) {
      probe.style.color = `var(--${name})`;
      state.colors[name.replace("-fill", "Fill")] =
        getComputedStyle(probe).color;
    }
    probe.remove();
    state.patterns = {
      down: hatch(state.colors.down, 0.25, 1),
      pause: hatch(state.colors.pause, 0.25, -1),
      unknown: hatch(state.colors.unknown, 1, 1),
    };
    redraw();
  }

  function hatch(color, alpha, slope) {
    const size = 7;
    const tile = new OffscreenCanvas(size * 2, size * 2);
    const ctx = tile.getContext("2d");
    ctx.scale(2, 2);
    ctx.strokeStyle = color;
    ctx.globalAlpha = alpha;
    ctx.lineWidth = 1.2;
    for (const shift of [-size, 0, size]) {
      ctx.beginPath();
      ctx.moveTo(shift, slope > 0 ? size : 0);
      ctx.lineTo(shift + size, slope > 0 ? 0 : size);
      ctx.stroke();
    }
    const pattern = canvas.getContext("2d").createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix().scale(0.5));
    return pattern;
  }

  // Pointing.
  function hitAt(x, y) {
    let best;
    let least = 7;
    for (const hit of state.hits) {
      const away = hit.kind === "message"
        ? toSegment(x, y, hit)
        : toBox(x, y, hit) +
          (hit.kind === "span" ? 4 : hit.kind === "operation" ? 1 : 0);
      if (away < least) {
        least = away;
        best = hit;
      }
    }
    return best;
  }
  function toBox(x, y, { x0, x1, y0, y1 }) {
    return Math.hypot(Math.max(x0 - x, 0, x - x1), Math.max(y0 - y, 0, y - y1));
  }
  function toSegment(x, y, { x0, x1, y0, y1 }) {
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    const along = length === 0 ? 0 : Math.min(
      1,
      Math.max(0, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length),
    );
    return Math.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0));
  }
  function wordsOf({ kind, index, event }) {
    if (kind === "span") {
      return spans[index].kind === "down"
        ? `${spans[index].hosts[0]} is down: ${spans[index].text}`
        : spans[index].text;
    }
    if (kind === "operation") {
      const { id, client, key, input, result, outcome, end } =
        operations[index];
      return `${client} operation ${id} on ${key}\n${input}\n${
        end === undefined ? "never returned" : outcome
      }${result === "" ? "" : `: ${result}`}`;
    }
    if (kind === "message") {
      const { id, from, to, sent, received } = messages[index];
      return `#${id} ${from} \u2192 ${to}  ${textOf[sent]}\n${
        received === undefined
          ? "lost"
          : `${formatMs(times[received] - times[sent])} ms`
      }`;
    }
    return `${formatMs(times[event])}  ${placeOf[event]}  ${kindOf[event]}\n${
      route(event)
    }${textOf[event]}`;
  }

  let drag;
  const local = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = local(event);
    drag = { x, y, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = local(event);
    if (drag !== undefined) {
      drag.moved ||= Math.hypot(x - drag.x, y - drag.y) > 4;
      if (drag.moved) {
        canvas.classList.add("moving");
        tip.hidden = true;
        pan(drag.x - x, drag.y - y);
        drag.x = x;
        drag.y = y;
      }
      return;
    }
    const hit = hitAt(x, y);
    hover(hit?.event);
    tip.hidden = hit === undefined;
    if (hit !== undefined) {
      tip.textContent = wordsOf(hit);
      const right = event.clientX + 16 + tip.offsetWidth > innerWidth;
      const below = event.clientY + 16 + tip.offsetHeight > innerHeight;
      tip.style.left = `${
        Math.max(
          4,
          right ? event.clientX - tip.offsetWidth - 12 : event.clientX + 16,
        )
      }px`;
      tip.style.top = `${
        below ? event.clientY - tip.offsetHeight - 12 : event.clientY + 16
      }px`;
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const [x, y] = local(event);
    const moved = drag?.moved ?? false;
    drag = undefined;
    canvas.classList.remove("moving");
    if (moved) return;
    if (y < HEADING_HEIGHT) {
      for (const { name, left, width } of state.layout.lanes.values()) {
        if (x + state.left >= left && x + state.left < left + width) {
          toggle(state.hiddenPlaces, name);
        }
      }
      return;
    }
    pin(hitAt(x, y)?.event, { reveal: false });
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
    hover(undefined);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    tip.hidden = true;
    const lines = event.deltaMode === 1 ? ROW_HEIGHT : 1;
    if (event.ctrlKey || event.metaKey) {
      zoom(
        Math.exp(-event.deltaY * lines / 240),
        local(event)[1] - HEADING_HEIGHT,
      );
    } else if (event.shiftKey) pan(event.deltaY * lines + event.deltaX, 0);
    else pan(event.deltaX * lines, event.deltaY * lines);
  }, { passive: false });
  function pan(x, y) {
    state.left = Math.max(
      0,
      Math.min(state.left + x, state.layout.width - state.size.width),
    );
    scale.moveBy(y);
    redraw();
  }

  function jump(event) {
    if (event.buttons === 0) return;
    const box = overview.getBoundingClientRect();
    const [first, last] = scale.range;
    const position = first +
      (event.clientY - box.top) / box.height * (last - first);
    scale.moveTo(position - scale.height / 2 / scale.unit);
    redraw();
  }
  overview.addEventListener("pointerdown", (event) => {
    overview.setPointerCapture(event.pointerId);
    jump(event);
  });
  overview.addEventListener("pointermove", jump);

  list.addEventListener("pointermove", (event) => {
    const row = event.target.closest(".row");
    hover(row === null ? undefined : Number(row.dataset.index));
  });
  list.addEventListener("pointerleave", () => hover(undefined));
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row === null) return;
    const index = Number(row.dataset.index);
    pin(index === state.pinned ? undefined : index, {
      reveal: scale.mode === "time",
    });
  });

  const divider = byId("divider");
  const aside = byId("side");
  const setSide = (pixels) => {
    aside.style.width = `${
      Math.max(200, Math.min(innerWidth - 240, pixels))
    }px`;
  };
  divider.addEventListener(
    "pointerdown",
    (event) => divider.setPointerCapture(event.pointerId),
  );
  divider.addEventListener("pointermove", (event) => {
    if (event.buttons !== 0) {
      setSide(innerWidth - event.clientX - overview.offsetWidth);
    }
  });
  divider.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: 24, ArrowRight: -24 }[event.key];
    if (by === undefined) return;
    event.stopPropagation();
    event.preventDefault();
    setSide(aside.offsetWidth + by);
  });

  // Keys. A step goes by lines that are shown.
  function step(by) {
    const { rows, ranks } = scale;
    if (rows.length === 0) return;
    const from = state.pinned === undefined
      ? Math.min(rows.length - 1, scale.rowAt(0)) - (by > 0 ? by : 0)
      : ranks[state.pinned];
    pin(rows[Math.max(0, Math.min(rows.length - 1, from + by))]);
  }
  function next(wanted, forward) {
    const found = [...kindOf.keys()].filter((index) =>
      wanted(index) && scale.ranks[index + 1] > scale.ranks[index]
    );
    if (found.length === 0) return;
    const at = state.pinned ?? -1;
    const after = firstAtLeast(found, forward ? at + 1 : at);
    const index = forward
      ? found[after] ?? found[0]
      : found[after - 1] ?? found.at(-1);
    pin(index, { middle: true });
  }
  const violated = new Set(
    operations.filter((operation) => operation.violated).map(({ begin }) =>
      begin
    ),
  );
  const isViolation = (index) =>
    violated.has(index) || kindOf[index] === "violation";
  const isFault = (index) =>
    kindOf[index] === "fault" && placeOf[index] === "world";
  const keys = {
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    j: () => step(1),
    k: () => step(-1),
    ArrowLeft: () => pan(-60, 0),
    ArrowRight: () => pan(60, 0),
    PageDown: () => pan(0, scale.height * 0.9),
    PageUp: () => pan(0, -scale.height * 0.9),
    Home: () => pin(scale.rows[0]),
    End: () => pin(scale.rows.at(-1)),
    "+": () => zoom(1.5),
    "=": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    0: fit,
    t: () => setMode(scale.mode === "steps" ? "time" : "steps"),
    v: () => next(isViolation, true),
    V: () => next(isViolation, false),
    f: () => next(isFault, true),
    F: () => next(isFault, false),
    m: otherEnd,
    "/": () => byId("filter").focus(),
    "?": () => byId("keys").showModal(),
    Escape: () => pin(undefined),
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) {
      return;
    }
    if (event.target === byId("filter")) {
      if (event.key === "Escape" || event.key === "Enter") canvas.focus();
      return;
    }
    const act = keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    tip.hidden = true;
    act();
  });

  // What went wrong is what somebody came for; else the load, else the beginning.
  let opened = false;
  function open() {
    opened = true;
    const [telling] = [...violated].sort((a, b) => a - b);
    if (telling !== undefined) return pin(telling, { middle: true });
    describe();
    const load = kindOf.indexOf("load");
    if (load > 0) scale.moveTo(scale.position(load) - 0.5);
  }

  new ResizeObserver(() => {
    const { clientWidth: width, clientHeight: height } = canvas;
    state.size = { width, height };
    scale.height = Math.max(1, height - HEADING_HEIGHT);
    for (const element of [canvas, overview]) {
      element.width = Math.round(element.clientWidth * devicePixelRatio);
      element.height = Math.round(element.clientHeight * devicePixelRatio);
    }
    state.layout = layLanes(lanes, width);
    if (!opened) open();
    pan(0, 0);
    draw();
  }).observe(byId("diagram"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener(
    "change",
    readColors,
  );

  readColors();
  select();
}
