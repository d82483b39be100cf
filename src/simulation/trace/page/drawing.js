/**
 * Draws a timeline on a canvas: lanes, arrows, bars and spans, and remembers
 * where it drew what. Runs in a browser.
 *
 * @module
 */
import { formatMs, roundStep } from "./scale.js";

/** Height of the lanes' names, in pixels; as high as the heading of the list. */
export const HEADING_HEIGHT = 32;
const AXIS_WIDTH = 86;
const LANE_WIDTHS = { world: 44, client: 52, node: 84 };
const RIBBON_WIDTH = 6;
/** Room of a ribbon with its name beside it. */
const RIBBON_STEP = 22;
const SPAN_NAMES = {
  down: "down",
  pause: "paused",
  network: "network",
  clock: "clock",
  disk: "disk",
};
const FONT = '11px ui-sans-serif, system-ui, "Segoe UI", Roboto, sans-serif';
const MONO =
  '11px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

/** Places lanes side by side in at least `width` pixels; those of nodes share what is left. */
export function layLanes(lanes, width) {
  const least = lanes.reduce(
    (sum, { role }) => sum + LANE_WIDTHS[role],
    AXIS_WIDTH + 12,
  );
  const nodes = lanes.filter(({ role }) => role === "node").length;
  const extra = nodes === 0
    ? 0
    : Math.min(150, Math.max(0, (width - least) / nodes));
  let x = AXIS_WIDTH;
  const placed = new Map();
  for (const lane of lanes) {
    const laneWidth = LANE_WIDTHS[lane.role] +
      (lane.role === "node" ? extra : 0);
    placed.set(lane.name, {
      ...lane,
      left: x,
      width: laneWidth,
      x: x + laneWidth / 2,
    });
    x += laneWidth;
  }
  return { lanes: placed, width: x + 12 };
}

/** Gives overlapping ribbons of one lane places beside each other. */
export function ribbonSlots(spans) {
  const slots = new Map();
  const openByHost = new Map();
  spans.forEach((span, index) => {
    if (span.kind === "down" || span.kind === "pause") return;
    for (const host of span.hosts) {
      const open = (openByHost.get(host) ?? []).filter(({ end }) =>
        end > span.begin
      );
      let slot = 0;
      while (open.some((other) => other.slot === slot)) slot++;
      open.push({ slot, end: span.end ?? Infinity });
      openByHost.set(host, open);
      slots.set(`${index} ${host}`, slot);
    }
  });
  return slots;
}

/** Draws what is in view and returns where things are, for pointing at them. */
export function drawTimeline(ctx, page) {
  const { width, height, colors, scale, left, layout } = page;
  const hits = [];
  ctx.clearRect(0, 0, width, height);
  ctx.fillStyle = colors.surface;
  ctx.fillRect(0, 0, width, height);
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, HEADING_HEIGHT, width, height - HEADING_HEIGHT);
  ctx.clip();
  ctx.translate(-left, HEADING_HEIGHT);
  const frame = {
    ...page,
    ctx,
    hits,
    bottom: scale.height,
    lane: (name) => layout.lanes.get(name),
    dense: isDense(scale),
    drawn: new Set(),
  };
  drawGrid(frame);
  drawSpans(frame);
  drawLifelines(frame);
  drawRules(frame);
  drawMarkedRows(frame);
  drawOperations(frame);
  drawMessages(frame);
  drawEvents(frame);
  ctx.restore();
  drawHeadings(ctx, page);
  // Back to the page's own coordinates.
  return hits.map((hit) => ({
    ...hit,
    x0: hit.x0 - left,
    x1: hit.x1 - left,
    y0: hit.y0 + HEADING_HEIGHT,
    y1: hit.y1 + HEADING_HEIGHT,
  }));
}

/** Whether more is in view than could be told apart. */
function isDense(scale) {
  return (scale.rowAt(scale.height) - scale.rowAt(0)) / scale.height > 0.3;
}

/** Whether the same was drawn on the same line of pixels before; asked where a look cannot tell. */
function isCovered({ drawn }, name, y) {
  const key = `${name} ${Math.round(y)}`;
  if (drawn.has(key)) return true;
  drawn.add(key);
  return false;
}

function drawGrid({ ctx, scale, colors, layout, bottom, left, width }) {
  ctx.font = MONO;
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  ctx.fillStyle = colors.faint;
  ctx.strokeStyle = colors.grid;
  ctx.lineWidth = 1;
  const rule = (y) => {
    ctx.beginPath();
    ctx.moveTo(left + AXIS_WIDTH - 4, Math.round(y) + 0.5);
    ctx.lineTo(left + Math.max(width, layout.width), Math.round(y) + 0.5);
    ctx.stroke();
  };
  if (scale.mode === "time") {
    const step = roundStep(64 / scale.unit);
    for (
      let ms = Math.ceil(scale.top / step) * step;
      (ms - scale.top) * scale.unit < bottom;
      ms += step
    ) {
      const y = (ms - scale.top) * scale.unit;
      rule(y);
      ctx.fillText(formatMs(ms, step), left + AXIS_WIDTH - 8, y);
    }
    return;
  }
  // A time stands where it differs from the one above it and there is room.
  const every = Math.max(1, Math.ceil(18 / scale.unit));
  let last = "";
  for (
    let row = Math.max(0, Math.floor(scale.top / every) * every);
    row < scale.rows.length;
    row += every
  ) {
    const y = (row + 0.5 - scale.top) * scale.unit;
    if (y > bottom) break;
    const text = formatMs(scale.times[scale.rows[row]]);
    if (text === last) continue;
    last = text;
    rule(y);
    ctx.fillText(text, left + AXIS_WIDTH - 8, y);
  }
}

/** The visible part of something from event `begin` to event `end`, undefined if none of it is. */
function extent({ scale, bottom }, begin, end) {
  const y0 = scale.y(begin);
  const y1 = end === undefined
    ? (scale.range[1] - scale.top) * scale.unit
    : scale.y(end);
  return y1 < -2 || y0 > bottom + 2
    ? undefined
    : [Math.max(y0, -20), Math.min(Math.max(y1, y0 + 2), bottom + 20)];
}

function drawSpans(frame) {
  const { ctx, spans, slots, colors, patterns, hits, lane } = frame;
  ctx.font = FONT;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  spans.forEach((span, index) => {
    const part = extent(frame, span.begin, span.end);
    if (part === undefined) return;
    const [y0, y1] = part;
    for (const host of span.hosts) {
      const place = lane(host);
      if (place === undefined) continue;
      const whole = span.kind === "down" || span.kind === "pause";
      const slot = slots.get(`${index} ${host}`) ?? 0;
      const x = whole ? place.left + 3 : place.left + 4 + slot * RIBBON_STEP;
      const w = whole ? place.width - 6 : RIBBON_WIDTH;
      if (whole) {
        ctx.fillStyle = colors[`${span.kind}Fill`];
        ctx.fillRect(x, y0, w, y1 - y0);
        ctx.fillStyle = patterns[span.kind];
        ctx.fillRect(x, y0, w, y1 - y0);
      } else {
        ctx.fillStyle = colors[`${span.kind}Fill`];
        ctx.fillRect(x, y0, place.left + place.width - 4 - x, y1 - y0);
        ctx.fillStyle = colors[span.kind];
        ctx.beginPath();
        ctx.roundRect(x, y0, w, Math.max(3, y1 - y0), 2);
        ctx.fill();
      }
      const name = SPAN_NAMES[span.kind];
      if (whole && y1 - y0 > 18) {
        label(
          ctx,
          name,
          place.left + place.width - 8,
          Math.max(y0, 0) + 4,
          colors[span.kind],
        );
      } else if (!whole && y1 - y0 > 70) {
        uprightLabel(
          ctx,
          name,
          x + w + 3,
          Math.max(y0, 0) + 6,
          colors[span.kind],
        );
      }
      hits.push({
        kind: "span",
        index,
        event: span.begin,
        x0: x,
        x1: x + w,
        y0,
        y1,
      });
    }
  });
}

function label(ctx, text, x, y, color) {
  ctx.font = FONT;
  ctx.textAlign = "right";
  ctx.textBaseline = "top";
  ctx.fillStyle = color;
  ctx.fillText(text, x, y);
}

/** Text that runs down along a ribbon. */
function uprightLabel(ctx, text, x, y, color) {
  ctx.save();
  ctx.translate(x, y);
  ctx.rotate(Math.PI / 2);
  ctx.font = FONT;
  ctx.textAlign = "left";
  ctx.textBaseline = "bottom";
  ctx.fillStyle = color;
  ctx.fillText(text, 0, 0);
  ctx.restore();
}

function drawLifelines({ ctx, layout, colors, bottom }) {
  ctx.lineWidth = 1;
  for (const { role, x } of layout.lanes.values()) {
    ctx.strokeStyle = role === "node" ? colors.lifeline : colors.grid;
    ctx.beginPath();
    ctx.moveTo(Math.round(x) + 0.5, 0);
    ctx.lineTo(Math.round(x) + 0.5, bottom);
    ctx.stroke();
  }
}

/** Lines across all lanes: a phase begins, a promise is broken. */
function drawRules(
  { ctx, kindOf, textOf, world, scale, colors, layout, bottom, left, width },
) {
  ctx.font = FONT;
  ctx.textAlign = "right";
  ctx.textBaseline = "bottom";
  let free = -Infinity;
  for (const index of world) {
    const kind = kindOf[index];
    if (kind !== "violation" && kind !== "load" && kind !== "heal") continue;
    const y = Math.round(scale.y(index)) + 0.5;
    if (y < -4 || y > bottom + 16) continue;
    ctx.strokeStyle = ctx.fillStyle = kind === "violation"
      ? colors.violation
      : colors.phase;
    ctx.setLineDash(kind === "violation" ? [] : [6, 4]);
    ctx.beginPath();
    ctx.moveTo(left + AXIS_WIDTH, y);
    ctx.lineTo(left + Math.max(width, layout.width), y);
    ctx.stroke();
    ctx.setLineDash([]);
    // Several at one moment would write over each other; the list has them all.
    if (y < free) continue;
    free = y + 14;
    const text = kind === "violation"
      ? textOf[index].split(":")[0]
      : `${kind}: ${textOf[index]}`;
    // Below the line where there is no room above it.
    ctx.textBaseline = y < 16 ? "top" : "bottom";
    ctx.fillText(
      text,
      left + Math.min(width, layout.width) - 10,
      y < 16 ? y + 3 : y - 1,
    );
  }
}

function drawMarkedRows(
  { ctx, scale, colors, layout, left, width, pinned, hovered, bottom },
) {
  for (
    const [index, color] of [[hovered, colors.hover], [pinned, colors.pin]]
  ) {
    if (index === undefined) continue;
    const y = scale.y(index);
    if (y < -20 || y > bottom + 20) continue;
    const tall = scale.mode === "steps"
      ? Math.min(20, Math.max(3, scale.unit))
      : 3;
    ctx.fillStyle = color;
    ctx.fillRect(left, y - tall / 2, Math.max(width, layout.width), tall);
  }
}

function drawOperations(frame) {
  const { ctx, operations, colors, patterns, scale, hits, lane, dense, shown } =
    frame;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  operations.forEach((operation, index) => {
    const place = lane(operation.client);
    const part = extent(frame, operation.begin, operation.end);
    if (place === undefined || part === undefined) return;
    const { begin, end } = operation;
    if (!shown(begin) && !(end !== undefined && shown(end))) return;
    const [y0, y1] = part;
    const color = colors[operation.outcome];
    const w = 14;
    const x = place.left + 8;
    const h = Math.max(4, y1 - y0);
    if (
      dense && !operation.violated && h < 6 &&
      isCovered(frame, `${place.name} ${operation.outcome}`, y0)
    ) return;
    ctx.beginPath();
    ctx.roundRect(x, y0, w, h, 3);
    ctx.fillStyle = colors.surface;
    ctx.fill();
    ctx.fillStyle = operation.outcome === "ok"
      ? color
      : operation.outcome === "unknown"
      ? patterns.unknown
      : colors.surface;
    ctx.fill();
    ctx.strokeStyle = color;
    ctx.lineWidth = 1.25;
    ctx.stroke();
    if (operation.violated) {
      ctx.beginPath();
      ctx.roundRect(x - 3, y0 - 3, w + 6, h + 6, 5);
      ctx.strokeStyle = colors.violation;
      ctx.lineWidth = 2;
      ctx.stroke();
    }
    if (scale.unit >= 10 || scale.mode === "time" && h > 12) {
      ctx.font = FONT;
      ctx.fillStyle = operation.violated ? colors.violation : colors.muted;
      ctx.fillText(`${operation.id}`, x + w + 4, Math.max(0, y0) - 1);
    }
    hits.push({
      kind: "operation",
      index,
      event: operation.begin,
      x0: x - 2,
      x1: x + w + 2,
      y0,
      y1: y0 + h,
    });
  });
}

function drawMessages(frame) {
  const {
    ctx,
    messages,
    colors,
    scale,
    hits,
    lane,
    bottom,
    related,
    shown,
    dense,
  } = frame;
  for (let pass = 0; pass < 2; pass++) {
    messages.forEach((message, index) => {
      const marked = related.has(message.sent) || related.has(message.received);
      // What is pointed at is drawn last, above all others.
      if (marked !== (pass === 1)) return;
      const { sent, received } = message;
      const [from, to] = [lane(message.from), lane(message.to)];
      if (from === undefined || to === undefined || from === to && dense) {
        return;
      }
      if (!shown(sent) && !(received !== undefined && shown(received))) return;
      const y0 = scale.y(sent);
      const lost = received === undefined;
      const y1 = lost
        ? y0 + Math.min(14, Math.max(4, scale.unit * 0.7))
        : scale.y(received);
      if (Math.max(y0, y1) < -20 || Math.min(y0, y1) > bottom + 20) return;
      if (
        dense && !marked &&
        isCovered(frame, `${message.from} ${message.to} ${lost}`, y0)
      ) return;
      ctx.globalAlpha = dense && !marked && !lost ? 0.3 : 1;
      const x0 = from.x;
      const x1 = lost && from !== to ? from.x + (to.x - from.x) * 0.6 : to.x;
      ctx.strokeStyle = ctx.fillStyle = lost
        ? colors.lost
        : marked
        ? colors.accent
        : colors.message;
      ctx.lineWidth = marked ? 2 : 1;
      ctx.beginPath();
      if (from === to) loop(ctx, x0, y0, y1);
      else {
        ctx.moveTo(x0, y0);
        ctx.lineTo(x1, y1);
      }
      ctx.stroke();
      if (lost) {
        cross(
          ctx,
          from === to ? x0 + 16 : x1,
          from === to ? (y0 + y1) / 2 : y1,
        );
      } else if (!dense) {
        arrowHead(
          ctx,
          from === to ? x1 + 14 : x0,
          from === to ? y1 - 5 : y0,
          x1,
          y1,
        );
      }
      hits.push({
        kind: "message",
        index,
        event: sent,
        x0: from === to ? x0 + 14 : x0,
        x1: from === to ? x0 + 14 : x1,
        y0,
        y1,
      });
    });
  }
  ctx.globalAlpha = 1;
}

function loop(ctx, x, y0, y1) {
  ctx.moveTo(x, y0);
  ctx.bezierCurveTo(x + 20, y0, x + 20, y1, x, y1);
}

function cross(ctx, x, y) {
  ctx.lineWidth = 1.75;
  ctx.beginPath();
  ctx.moveTo(x - 4, y - 4);
  ctx.lineTo(x + 4, y + 4);
  ctx.moveTo(x + 4, y - 4);
  ctx.lineTo(x - 4, y + 4);
  ctx.stroke();
}

function arrowHead(ctx, x0, y0, x1, y1) {
  const angle = Math.atan2(y1 - y0, x1 - x0);
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  for (const side of [-1, 1]) {
    ctx.lineTo(
      x1 - 8 * Math.cos(angle + side * 0.38),
      y1 - 8 * Math.sin(angle + side * 0.38),
    );
  }
  ctx.closePath();
  ctx.fill();
}

function drawEvents(frame) {
  const {
    ctx,
    scale,
    kindOf,
    placeOf,
    textOf,
    colors,
    hits,
    lane,
    bottom,
    related,
    dense,
  } = frame;
  const { rows } = scale;
  for (let row = Math.max(0, scale.rowAt(-6)); row < rows.length; row++) {
    const index = rows[row];
    const y = scale.y(index);
    if (y > bottom + 6) break;
    const place = lane(placeOf[index]);
    if (place === undefined) continue;
    const kind = kindOf[index];
    const x = place.x;
    // Clients' events are the ends of their bars.
    if (place.role !== "client") {
      if (
        dense && !related.has(index) &&
        isCovered(frame, `${place.name} ${kind}`, y)
      ) continue;
      mark(ctx, kind, textOf[index], x, y, dense ? 2 : 3.5, colors);
      if (related.has(index)) {
        ctx.strokeStyle = colors.accent;
        ctx.lineWidth = 2;
        ctx.beginPath();
        ctx.arc(x, y, 7, 0, 7);
        ctx.stroke();
      }
      hits.push({
        kind: "event",
        index,
        event: index,
        x0: x - 4,
        x1: x + 4,
        y0: y - 4,
        y1: y + 4,
      });
    }
  }
}

/** The sign of an event: shapes differ as well as colours. */
function mark(ctx, kind, text, x, y, size, colors) {
  ctx.beginPath();
  switch (kind) {
    case "violation":
      ctx.fillStyle = colors.violation;
      polygon(ctx, x, y, size + 3, 4);
      return ctx.fill();
    case "fault":
    case "end":
      ctx.fillStyle = colors.fault;
      polygon(ctx, x, y, size + 2, 3, Math.PI / 2);
      return ctx.fill();
    case "up":
    case "start":
      ctx.fillStyle = colors.ok;
      polygon(ctx, x, y, size + 2, 3, -Math.PI / 2);
      return kind === "up"
        ? ctx.fill()
        : hollow(ctx, colors.ok, colors.surface);
    case "fault_end":
    case "heal":
    case "load":
      polygon(ctx, x, y, size + 1, 4);
      return hollow(ctx, colors.muted, colors.surface);
    default: {
      const level = kind === "log" ? text.split(" ", 1)[0] : "";
      const broken = kind === "lost" || kind === "broken" || kind === "reset";
      ctx.fillStyle = level === "error"
        ? colors.lost
        : level === "warn"
        ? colors.unknown
        : kind === "log"
        ? colors.faint
        : broken
        ? colors.lost
        : colors.message;
      if (kind === "log") {
        ctx.rect(x - size + 1, y - size + 1, 2 * size - 2, 2 * size - 2);
      } else ctx.arc(x, y, size - 1, 0, 7);
      ctx.fill();
    }
  }
}

function hollow(ctx, color, surface) {
  ctx.fillStyle = surface;
  ctx.fill();
  ctx.strokeStyle = color;
  ctx.lineWidth = 1.5;
  ctx.stroke();
}

function polygon(ctx, x, y, radius, corners, turn = 0) {
  for (let corner = 0; corner < corners; corner++) {
    const angle = turn + corner * 2 * Math.PI / corners;
    ctx.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  ctx.closePath();
}

function drawHeadings(ctx, { width, colors, layout, left, hiddenPlaces }) {
  ctx.fillStyle = colors.raised;
  ctx.fillRect(0, 0, width, HEADING_HEIGHT);
  ctx.fillStyle = colors.grid;
  ctx.fillRect(0, HEADING_HEIGHT - 1, width, 1);
  ctx.textBaseline = "middle";
  ctx.textAlign = "center";
  for (const { name, role, x } of layout.lanes.values()) {
    ctx.font = role === "node" ? `600 ${FONT.replace("11px", "13px")}` : FONT;
    ctx.fillStyle = hiddenPlaces.has(name)
      ? colors.faint
      : role === "node"
      ? colors.ink
      : colors.muted;
    ctx.fillText(name, x - left, HEADING_HEIGHT / 2);
    if (hiddenPlaces.has(name)) {
      const half = ctx.measureText(name).width / 2 + 2;
      ctx.fillRect(x - left - half, HEADING_HEIGHT / 2, 2 * half, 1);
    }
  }
  ctx.font = FONT;
  ctx.textAlign = "right";
  ctx.fillStyle = colors.raised;
  ctx.fillRect(0, 0, AXIS_WIDTH - 4, HEADING_HEIGHT - 1);
  ctx.fillStyle = colors.faint;
  ctx.fillText("ms", AXIS_WIDTH - 8, HEADING_HEIGHT / 2);
}

/** Draws all of the trace in a strip: how much happens where, faults, violations, and what is in view. */
export function drawOverview(
  ctx,
  { width, height, colors, scale, spans, world, kindOf, pinned },
) {
  ctx.clearRect(0, 0, width, height);
  ctx.fillStyle = colors.raised;
  ctx.fillRect(0, 0, width, height);
  const [first, last] = scale.range;
  const yOf = (position) => (position - first) / (last - first) * height;
  if (scale.mode === "time") {
    drawDensity(ctx, scale, yOf, width, height, colors);
  }
  // What may want a look, wherever it is.
  const notable = {
    lost: colors.lost,
    unknown: colors.unknown,
    failed: colors.failed,
  };
  for (const index of scale.rows) {
    const color = notable[kindOf[index]];
    if (color === undefined) continue;
    ctx.fillStyle = color;
    ctx.fillRect(width - 14, yOf(scale.position(index)) - 0.5, 10, 1);
  }
  const columns = { down: 2, pause: 2, network: 6, disk: 10, clock: 10 };
  for (const span of spans) {
    const y0 = yOf(scale.position(span.begin));
    const y1 = span.end === undefined ? height : yOf(scale.position(span.end));
    ctx.fillStyle = colors[span.kind];
    ctx.fillRect(columns[span.kind], y0, 3, Math.max(2, y1 - y0));
  }
  for (const index of world) {
    if (kindOf[index] !== "violation") continue;
    ctx.fillStyle = colors.violation;
    ctx.fillRect(0, yOf(scale.position(index)) - 1, width, 2);
  }
  if (pinned !== undefined) {
    ctx.fillStyle = colors.accent;
    ctx.fillRect(0, yOf(scale.position(pinned)) - 1, width, 2);
  }
  const y0 = yOf(scale.top);
  const tall = Math.max(6, scale.height / scale.unit / (last - first) * height);
  ctx.fillStyle = colors.viewFill;
  ctx.fillRect(0, y0, width, tall);
  ctx.strokeStyle = colors.accent;
  ctx.lineWidth = 1;
  ctx.strokeRect(0.5, y0 + 0.5, width - 1, tall - 1);
}

function drawDensity(ctx, scale, yOf, width, height, colors) {
  const buckets = new Uint32Array(Math.ceil(height / 2));
  for (const index of scale.rows) {
    const bucket = Math.floor(yOf(scale.position(index)) / 2);
    buckets[Math.min(buckets.length - 1, Math.max(0, bucket))]++;
  }
  const most = Math.max(1, ...buckets);
  ctx.fillStyle = colors.message;
  buckets.forEach((count, bucket) => {
    if (count > 0) {
      ctx.fillRect(
        16,
        bucket * 2,
        Math.max(1, Math.sqrt(count / most) * (width - 34)),
        1.5,
      );
    }
  });
}
