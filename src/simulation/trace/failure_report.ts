/**
 * A report of a failed simulation for a person: which promise broke, what was
 * done to the cluster, the operations that show it, what happened last, and the
 * one command that reproduces it.
 *
 * @module
 */
import type { Violation } from "../checkers/violation.ts";
import { describeSchedule } from "../schedule/fault_words.ts";
import type { OperationRecord } from "../history.ts";
import type { SimulationResult } from "../simulation_result.ts";
import { traceLine } from "./trace.ts";

/** Last events that a report shows. */
export const REPORT_EVENTS_MAX = 50;
/** Operations that a report shows. */
export const REPORT_OPERATIONS_MAX = 40;
/** Longest input or output in the table, in characters. */
const VALUE_LENGTH_MAX = 60;
/** Violations shown in full; the others are counted. */
const VIOLATIONS_MAX = 5;

/** What a report shows besides the result. */
export interface ReportOptions {
  /** Git commit of the simulated code. */
  readonly commit?: string | undefined;
  /** The command that runs it again. @default {built from the seed} */
  readonly replay?: string | undefined;
  /** Where the schedule was written, if it is not the one the seed draws. */
  readonly schedulePath?: string | undefined;
  /** Last events to show. @default {REPORT_EVENTS_MAX} */
  readonly eventsMax?: number | undefined;
}

/** The command that runs a seed again, with its other options. */
export function replayCommand(
  seed: string,
  flags: Readonly<Record<string, string | number | undefined>> = {},
): string {
  const words = ["deno", "task", "simulate", "--seed", quoted(seed)];
  for (const [flag, value] of Object.entries(flags)) {
    if (value !== undefined) words.push(`--${flag}`, quoted(String(value)));
  }
  return [...words, "--trace"].join(" ");
}

/** One line that says what failed, easy to find in a long log. */
export function failureLine(
  result: SimulationResult,
  commit?: string,
): string {
  const { schedule, violations, history, virtualMs, events } = result;
  const [violation] = violations;
  const key = violation?.key === undefined ? "" : ` key=${violation.key}`;
  return `FAIL seed=${schedule.seed}${
    commit === undefined ? "" : ` git=${commit}`
  } check=${
    violation?.check ?? "none"
  }${key} nodes=${schedule.nodes} operations=${history.length} events=${events} t=${
    (virtualMs / 1_000).toFixed(1)
  }s`;
}

/** A failure as text for a person. */
export function renderFailure(
  result: SimulationResult,
  options: ReportOptions = {},
): string {
  const { schedule, violations, history, trace } = result;
  const named = namedOperations(violations, history);
  const { schedulePath, eventsMax = REPORT_EVENTS_MAX } = options;
  const last = eventsMax === 0 ? [] : trace.events.slice(-eventsMax);
  const replay = options.replay ??
    replayCommand(schedule.seed, { schedule: schedulePath });
  return [
    failureLine(result, options.commit),
    ...violationLines(violations),
    "",
    "What was run (times count from when the load began):",
    ...describeSchedule(schedule).map((line) => `  ${line}`),
    "",
    ...(named.operations.length === 0 ? ["No operation was recorded."] : [
      `${named.title} (times count from when the simulation began):`,
      ...operationTable(named.operations).map((line) => `  ${line}`),
    ]),
    "",
    ...(eventsMax === 0 ? [] : trace.on
      ? [
        `The last ${last.length} of ${
          trace.events.length + trace.dropped
        } events:`,
        ...last.map((event) => `  ${traceLine(event)}`),
      ]
      : ["No events were kept: run it again with --trace."]),
    ...(eventsMax === 0 ? [] : [""]),
    ...(schedulePath === undefined ? [] : [`Its schedule is ${schedulePath}`]),
    "See it again:",
    `  ${replay}`,
    "",
  ].join("\n");
}

function violationLines(violations: readonly Violation[]): string[] {
  const lines = violations.slice(0, VIOLATIONS_MAX).flatMap((violation) => [
    ...`${violation.check}: ${violation.message}`.split("\n"),
    ...(violation.details === undefined
      ? []
      : [`  details: ${shortened(violation.details, 4 * VALUE_LENGTH_MAX)}`]),
  ]);
  const more = violations.length - VIOLATIONS_MAX;
  if (more > 0) {
    const checks = new Set(
      violations.slice(VIOLATIONS_MAX).map(({ check }) => check),
    );
    lines.push(`and ${more} more of ${[...checks].join(", ")}`);
  }
  return lines.map((line) => `  ${line}`);
}

type Operation = OperationRecord<unknown, unknown>;

/**
 * The operations to start from: those that the first violation names, or those
 * of its key, or the last ones.
 */
function namedOperations(
  violations: readonly Violation[],
  history: readonly Operation[],
): { title: string; operations: readonly Operation[] } {
  const telling = violations.find(({ operations }) =>
    operations !== undefined && operations.length > 0
  );
  if (telling !== undefined) {
    const ids = new Set(telling.operations);
    return limited(
      `The operations that show ${telling.check}`,
      history.filter(({ id }) => ids.has(id)),
    );
  }
  const key = violations.find((violation) => violation.key !== undefined)?.key;
  if (key !== undefined) {
    const ofKey = history.filter((operation) => operation.key === key);
    return limited(`The operations of ${key}`, ofKey);
  }
  return limited("The operations", history);
}

/** Keeps the last operations, which are nearest to the failure. */
function limited(
  title: string,
  operations: readonly Operation[],
): { title: string; operations: readonly Operation[] } {
  const more = operations.length - REPORT_OPERATIONS_MAX;
  return more <= 0 ? { title, operations } : {
    title:
      `${title}, the last ${REPORT_OPERATIONS_MAX} of ${operations.length}`,
    operations: operations.slice(-REPORT_OPERATIONS_MAX),
  };
}

/** `operations` as the lines of a table with a heading. */
export function operationTable(
  operations: readonly OperationRecord<unknown, unknown>[],
): string[] {
  const rows = [
    ["id", "client", "key", "from ms", "to ms", "outcome", "input", "result"],
    ...operations.map((operation) => [
      String(operation.id),
      operation.client,
      operation.key,
      operation.invokedAtMs.toFixed(3),
      operation.returnedAtMs?.toFixed(3) ?? "open",
      operation.outcome,
      shortened(operation.input, VALUE_LENGTH_MAX),
      operation.outcome === "ok"
        ? shortened(operation.output, VALUE_LENGTH_MAX)
        : operation.error ?? "",
    ]),
  ];
  const widths =
    rows[0]?.map((_, column) =>
      Math.max(...rows.map((row) => row[column]?.length ?? 0))
    ) ?? [];
  return rows.map((row) =>
    row.map((cell, column) =>
      [0, 3, 4].includes(column)
        ? cell.padStart(widths[column] ?? 0)
        : cell.padEnd(widths[column] ?? 0)
    ).join("  ").trimEnd()
  );
}

/** `value` as JSON in at most `length` characters. */
export function shortened(value: unknown, length: number): string {
  const text = JSON.stringify(
    value,
    (_name, item) =>
      item instanceof Uint8Array
        ? `0x${item.toHex()}`
        : typeof item === "bigint"
        ? String(item)
        : item,
  ) ?? "";
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** `word` quoted for a shell. */
function quoted(word: string): string {
  return /^[\w./:@+-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
