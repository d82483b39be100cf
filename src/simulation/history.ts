/**
 * What clients saw: one record per operation, with its beginning, end and
 * outcome. Checkers judge a run by this alone, so it must be honest about what
 * a client cannot know: an operation whose answer was lost is `unknown`,
 * neither done nor undone.
 *
 * As text, a history is JSON Lines: a header line that names the format, then a
 * line per record. An operation may have two lines, one for its invocation and
 * one for its return; so a run of real processes appends both as they happen,
 * and its file can be checked even if it was cut off. Bytes are written as
 * `{"$bytes": base64}`.
 *
 * ```ts
 * import { decodeHistory, encodeHistory, HistoryRecorder } from "./history.ts";
 *
 * let nowMs = 0;
 * const recorder = new HistoryRecorder<string, number>(() => nowMs);
 * const read = recorder.invoke("c1", "k", "get");
 * nowMs = 5;
 * recorder.succeed(read, 7);
 * const again = decodeHistory(encodeHistory(recorder.records));
 * ```
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** How an operation ended, as far as its client knows. */
export type OperationOutcome =
  | "ok"
  /** It certainly did not happen and never will. */
  | "failed"
  /**
   * It may have happened, may still happen, or neither; also the outcome until
   * it returns.
   */
  | "unknown";

/** One operation as its client saw it. */
export interface OperationRecord<Input, Output> {
  /**
   * Its index in the history; operations are numbered in the order of their
   * invocation.
   */
  readonly id: number;
  /** The client that invoked it. A client invokes one at a time. */
  readonly client: string;
  /** Its key. Operations on different keys are independent. */
  readonly key: string;
  /** The requested operation. */
  readonly input: Input;
  /** When it began, in milliseconds on the clock shared by the history. */
  readonly invokedAtMs: number;
  /** When its client stopped waiting; `undefined` while it waits. */
  returnedAtMs: number | undefined;
  /** How it ended. */
  outcome: OperationOutcome;
  /** Its result, if it is `ok`. */
  output: Output | undefined;
  /** Code or message of the failure, if it is not `ok`. */
  error: string | undefined;
}

/** Records what clients see, in the order in which it happens. */
export class HistoryRecorder<Input, Output> {
  readonly #now: () => number;
  readonly #changed:
    | ((record: OperationRecord<Input, Output>) => void)
    | undefined;
  readonly #records: OperationRecord<Input, Output>[] = [];

  /**
   * Starts an empty history.
   *
   * @param now Milliseconds on a monotonic clock shared by all clients.
   * @param changed Called with each record at its invocation and its return,
   * for example to append it to a file.
   */
  constructor(
    now: () => number,
    changed?: (record: OperationRecord<Input, Output>) => void,
  ) {
    this.#now = now;
    this.#changed = changed;
  }

  /** All records, by id. Operations that have not returned are `unknown`. */
  get records(): readonly OperationRecord<Input, Output>[] {
    return this.#records;
  }

  /**
   * Records the start of an operation; pass the returned record on when it
   * ends.
   */
  invoke(
    client: string,
    key: string,
    input: Input,
  ): OperationRecord<Input, Output> {
    const record: OperationRecord<Input, Output> = {
      id: this.#records.length,
      client,
      key,
      input,
      invokedAtMs: this.#now(),
      returnedAtMs: undefined,
      outcome: "unknown",
      output: undefined,
      error: undefined,
    };
    this.#records.push(record);
    this.#changed?.(record);
    return record;
  }

  /**
   * The operation succeeded with `output`.
   *
   * @throws {RangeError} If it has already returned.
   */
  succeed(record: OperationRecord<Input, Output>, output: Output): void {
    this.#return(record, "ok");
    record.output = output;
    this.#changed?.(record);
  }

  /**
   * The operation certainly did not happen and will not.
   *
   * @throws {RangeError} If it has already returned.
   */
  fail(record: OperationRecord<Input, Output>, error: string): void {
    this.#return(record, "failed");
    record.error = error;
    this.#changed?.(record);
  }

  /**
   * The outcome of the operation is unknown.
   *
   * @throws {RangeError} If it has already returned.
   */
  lose(record: OperationRecord<Input, Output>, error: string): void {
    this.#return(record, "unknown");
    record.error = error;
    this.#changed?.(record);
  }

  #return(
    record: OperationRecord<Input, Output>,
    outcome: OperationOutcome,
  ): void {
    if (record.returnedAtMs !== undefined) {
      throw new RangeError(
        `Cannot end operation ${record.id} twice: it is ${record.outcome} since ${record.returnedAtMs} ms`,
      );
    }
    record.returnedAtMs = this.#now();
    record.outcome = outcome;
  }
}

/** Counts `records` by outcome. */
export function countOutcomes(
  records: Iterable<OperationRecord<unknown, unknown>>,
): Record<OperationOutcome, number> {
  const counts = { ok: 0, failed: 0, unknown: 0 };
  for (const { outcome } of records) counts[outcome]++;
  return counts;
}

/** Version of the text format; a reader refuses others. */
export const HISTORY_FORMAT = 1;
/** The first line of a history as text, without its line feed. */
export const HISTORY_HEADER: string = JSON.stringify({
  history: "whorl",
  format: HISTORY_FORMAT,
});

/** A history as text: the header, then a line per record. */
export function encodeHistory(
  records: Iterable<OperationRecord<unknown, unknown>>,
): string {
  let text = `${HISTORY_HEADER}\n`;
  for (const record of records) text += `${encodeRecord(record)}\n`;
  return text;
}

/** One line of a history, without its line feed. */
export function encodeRecord(
  record: OperationRecord<unknown, unknown>,
): string {
  const { id, client, key, invokedAtMs, returnedAtMs, outcome, error } = record;
  // Undefined fields are omitted, and read back as undefined.
  return JSON.stringify({
    id,
    client,
    key,
    invokedAtMs,
    returnedAtMs,
    outcome,
    input: toPlain(record.input),
    output: toPlain(record.output),
    error,
  });
}

/**
 * Reads a history, by id, whatever the order of its lines. Inputs and outputs
 * are JSON values and bytes; the user of the history knows their types. A
 * truncated last line, as a killed writer leaves, is dropped.
 *
 * @throws {WhorlError} `protocol_error` for anything else, naming the line.
 */
export function decodeHistory<Input = unknown, Output = unknown>(
  text: string,
): OperationRecord<Input, Output>[] {
  const lines = text.split("\n");
  // Anything after the last line feed is an incomplete line; empty if the
  // history is complete.
  lines.pop();
  if (lines[0] !== HISTORY_HEADER) {
    throw refused(1, `it must begin with ${HISTORY_HEADER}`);
  }
  const records = new Map<number, OperationRecord<Input, Output>>();
  for (let i = 1; i < lines.length; i++) {
    const record = decodeRecord<Input, Output>(lines[i] as string, i + 1);
    const earlier = records.get(record.id);
    if (earlier !== undefined && !isReturnOf(record, earlier)) {
      throw refused(i + 1, "its id was used before");
    }
    records.set(record.id, record);
  }
  return [...records.values()].sort((a, b) => a.id - b.id);
}

/** Whether `record` completes `earlier`, which had not returned. */
function isReturnOf(
  record: OperationRecord<unknown, unknown>,
  earlier: OperationRecord<unknown, unknown>,
): boolean {
  return earlier.returnedAtMs === undefined &&
    record.client === earlier.client && record.key === earlier.key &&
    record.invokedAtMs === earlier.invokedAtMs;
}

function decodeRecord<Input, Output>(
  text: string,
  line: number,
): OperationRecord<Input, Output> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refused(line, "it is no JSON", cause);
  }
  if (typeof value !== "object" || value === null) {
    throw refused(line, "it is no record");
  }
  const fields = value as Record<string, unknown>;
  const { id, client, key, invokedAtMs, returnedAtMs, outcome, error } = fields;
  const good = typeof id === "number" && Number.isSafeInteger(id) && id >= 0 &&
    typeof client === "string" && typeof key === "string" &&
    typeof invokedAtMs === "number" &&
    (returnedAtMs === undefined ||
      typeof returnedAtMs === "number" && returnedAtMs >= invokedAtMs) &&
    (outcome === "unknown" ||
      (outcome === "ok" || outcome === "failed") &&
        returnedAtMs !== undefined) &&
    (error === undefined || typeof error === "string");
  if (!good) throw refused(line, "it is no record");
  return {
    id,
    client,
    key,
    input: fromPlain(fields.input) as Input,
    invokedAtMs,
    returnedAtMs,
    outcome,
    output: fromPlain(fields.output) as Output | undefined,
    error,
  };
}

function refused(line: number, reason: string, cause?: unknown): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read line ${line} of a history: ${reason}`,
    cause === undefined ? {} : { cause },
  );
}

const BYTES = "$bytes";
/** Wraps an object that would look like one of these marks. */
const PLAIN = "$plain";

/** `value` with its bytes as marked text. */
function toPlain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { [BYTES]: value.toBase64() };
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== "object" || value === null) return value;
  const plain = Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, toPlain(item)]),
  );
  return isMark(value) ? { [PLAIN]: plain } : plain;
}

function fromPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromPlain);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (isMark(fields)) {
    const bytes = fields[BYTES];
    if (typeof bytes === "string") return Uint8Array.fromBase64(bytes);
    return itemsFromPlain(fields[PLAIN] as Record<string, unknown>);
  }
  return itemsFromPlain(fields);
}

function itemsFromPlain(fields: Record<string, unknown>): unknown {
  return Object.fromEntries(
    Object.entries(fields).map(([name, item]) => [name, fromPlain(item)]),
  );
}

function isMark(value: object): boolean {
  const names = Object.keys(value);
  return names.length === 1 && (names[0] === BYTES || names[0] === PLAIN);
}
