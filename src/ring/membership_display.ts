/**
 * The members of the cluster as tables: `member-status`, `cluster status` and
 * `ring-status`. They take plain rows, so that a ring, a planned ring and the
 * answer of another node give the same text.
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import type { RingResizePhase } from "./ring_generations.ts";
import {
  percentText,
  quotedName,
  quotedNames,
  ruleLine,
  titleLine,
} from "./text_table.ts";

/** Status of a member; those that have left are not shown. */
export type ShownStatus = "joining" | "valid" | "leaving" | "exiting" | "down";

/** One member. */
export interface MemberRow {
  /** The member's name. */
  readonly node: string;
  /** Its status. */
  readonly status: ShownStatus;
  /** Its current share of the ring, 0 to 100. */
  readonly ringPercent: number;
  /** Its share once pending transfers are done; absent if there are none. */
  readonly pendingPercent?: number;
}

/** How a table differs from the default. */
export interface MembershipOptions {
  /**
   * Names as Erlang prints atoms, as riak_core up to 2.x does here.
   *
   * @default {false}
   */
  readonly quoted?: boolean;
}

/** The Membership table, sorted by status, then name, with counts below. */
export function membershipTable(
  rows: readonly MemberRow[],
  options: MembershipOptions = {},
): string {
  const lines = sorted(rows).map((row) => {
    const pending = row.pendingPercent === undefined
      ? "     --  "
      : `   ${percentText(row.pendingPercent)}%`;
    const name = options.quoted ? quotedName(row.node) : row.node;
    return `${row.status.padEnd(8)}  ${
      percentText(row.ringPercent)
    }% ${pending}    ${name}\n`;
  });
  const count = (status: ShownStatus): number =>
    rows.filter((row) => row.status === status).length;
  return titleLine("Membership", 33) +
    "Status     Ring    Pending    Node\n" +
    ruleLine("-") + lines.join("") + ruleLine("-") +
    `Valid:${count("valid")} / Leaving:${count("leaving")} / ` +
    `Exiting:${count("exiting")} / Joining:${count("joining")} / ` +
    `Down:${count("down")}\n`;
}

/** One member with its availability. */
export interface ClusterStatusRow extends MemberRow {
  /** Whether it is the claimant. */
  readonly claimant: boolean;
  /** Whether it is reachable. */
  readonly up: boolean;
}

/** The Cluster Status table, sorted by status, then name. */
export function clusterStatusText(
  rows: readonly ClusterStatusRow[],
  ringReady: boolean,
): string {
  const table = boxTable(
    ["node", "status", "avail", "ring", "pending"],
    sorted(rows).map((row) => [
      ` ${row.claimant ? "(C)" : "   "} ${row.node} `,
      row.status,
      availability(row),
      percentText(row.ringPercent),
      row.pendingPercent === undefined ? "--" : percentText(row.pendingPercent),
    ]),
  );
  return `---- Cluster Status ----\nRing ready: ${ringReady}\n\n${table}\n` +
    "Key: (C) = Claimant; availability marked with '!' is unexpected\n";
}

/** A mark where the availability of a member contradicts its status. */
function availability(row: ClusterStatusRow): string {
  if (row.status === "down") return row.up ? "  up!  " : " down  ";
  return row.up ? "  up   " : " down! ";
}

/** Pending transfers from one owner to the next. */
export interface HandoffRow {
  /** The current owner. */
  readonly owner: string;
  /** The next owner. */
  readonly nextOwner: string;
  /** The partitions, by their 160-bit index in decimal. */
  readonly transfers: readonly {
    readonly index: bigint | string;
    /** Vnode modules that have not handed off yet; none when all is done. */
    readonly waiting: readonly string[];
    /** Vnode modules that have handed off. */
    readonly complete: readonly string[];
    /**
     * Progress and what it waits for, a line each; riak_core has none. Default:
     * none.
     */
    readonly progress?: readonly string[];
  }[];
}

/** The content of `ring-status`. */
export interface RingStatus {
  /** The member that decides about changes. */
  readonly claimant: string;
  /** Whether all members agree on the ring; absent while the claimant is down. */
  readonly ringReady?: boolean;
  /** Pending transfers, one row for each pair of nodes. */
  readonly handoffs: readonly HandoffRow[];
  /** The resize in progress. Default: none. */
  readonly resize?: {
    /** Number of partitions before and after. */
    readonly from: number;
    /** See `from`. */
    readonly to: number;
    /** Its phase. Default: not shown. */
    readonly phase?: RingResizePhase;
    /** Number of partitions that have done their part of this phase. */
    readonly complete: number;
    /** The nodes that still have something to do. */
    readonly waiting: readonly string[];
  };
  /** Members that cannot be reached, whatever their status. */
  readonly down: readonly string[];
  /** Members whose status is `down`. */
  readonly markedDown: readonly string[];
}

/**
 * The claimant, pending transfers, and members that are unexpectedly
 * unreachable.
 */
export function ringStatusReport(status: RingStatus): string {
  const unreachable = status.down.filter((node) =>
    !status.markedDown.includes(node)
  );
  const handoffs = status.handoffs.map((row) => handoffText(row, status.down));
  return titleLine("Claimant", 34) +
    `Claimant:  ${quotedName(status.claimant)}\n` +
    `Status:     ${status.ringReady === undefined ? "down" : "up"}\n` +
    `Ring Ready: ${status.ringReady ?? "unknown"}\n\n` +
    titleLine("Ownership Handoff", 30) +
    resizeText(status.resize) +
    (handoffs.length === 0 && status.resize === undefined
      ? "No pending changes.\n"
      : handoffs.join("")) +
    "\n" + titleLine("Unreachable Nodes", 30) +
    (unreachable.length === 0
      ? reachableText(status.markedDown)
      : `The following nodes are unreachable: ${quotedNames(unreachable)}\n\n` +
        UNREACHABLE_WARNING);
}

/**
 * The original's line, and which members it leaves out, which the original does
 * not say.
 */
function reachableText(markedDown: readonly string[]): string {
  return "All nodes are up and reachable\n" +
    (markedDown.length === 0
      ? "\n"
      : `Not counting those marked as down: ${quotedNames(markedDown)}\n\n`);
}

const RESIZE_PHASE_TEXTS: Record<RingResizePhase, string> = {
  copying: "data is copied",
  binding: "writes wait for the new partitions",
  reading: "reads go by the new partitions",
};

function resizeText(resize: RingStatus["resize"]): string {
  if (resize === undefined) return "";
  const { from, to, phase, complete, waiting } = resize;
  return `Ring is resizing from ${from} to ${to} partitions.\n` +
    (phase === undefined ? "" : `Phase:      ${RESIZE_PHASE_TEXTS[phase]}\n`) +
    `Complete:   ${complete} of ${from}\n` +
    (waiting.length === 0
      ? "All transfers complete. Waiting for claimant to change the ring.\n"
      : `Waiting on: ${quotedNames(waiting)}\n`);
}

// The consequences here, in our own words: the original names commands we lack.
const UNREACHABLE_WARNING =
  "WARNING: Changes to the cluster wait until every member that is not marked\n" +
  "as down has seen them. Start these nodes again, or, if they are gone for\n" +
  "long or for good, mark them as down.\n";

function handoffText(row: HandoffRow, down: readonly string[]): string {
  const missing = [row.owner, row.nextOwner].filter((node) =>
    down.includes(node)
  );
  const transfers = row.transfers.map((transfer) => {
    const { index, waiting, complete, progress = [] } = transfer;
    if (missing.length > 0) return `Index: ${index}\n`;
    if (waiting.length === 0) {
      return `\nIndex: ${index}\n  All transfers complete. ` +
        "Waiting for claimant to change ownership.\n";
    }
    const done = complete.length === 0
      ? ""
      : `  Complete:   ${quotedNames(complete)}\n`;
    return `\nIndex: ${index}\n  Waiting on: ${quotedNames(waiting)}\n${done}` +
      progress.map((line) => `  ${line}\n`).join("");
  });
  const alarm = missing.length === 0
    ? ""
    : `\n${missing.map((node) => `!!! ${node} is DOWN !!!\n`).join("")}\n`;
  return `Owner:      ${row.owner}\nNext Owner: ${row.nextOwner}\n` +
    `${alarm}${transfers.join("")}\n${ruleLine("-")}`;
}

function sorted<Row extends MemberRow>(rows: readonly Row[]): Row[] {
  return rows.toSorted((a, b) =>
    compareTexts(a.status, b.status) || compareTexts(a.node, b.node)
  );
}

function boxTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const widths = header.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]!.length))
  );
  const border = `+${widths.map((width) => "-".repeat(width)).join("+")}+\n`;
  const line = (cells: readonly string[]): string =>
    `|${cells.map((cell, i) => centred(cell, widths[i]!)).join("|")}|\n`;
  return border + line(header) + border + rows.map(line).join("") + border;
}

function centred(text: string, width: number): string {
  const left = (width - text.length) >> 1;
  return text.padStart(text.length + left).padEnd(width);
}
