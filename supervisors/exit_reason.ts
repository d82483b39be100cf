/**
 * Why a process ended. A reason is plain data, so that it is the same after
 * crossing from a worker or a subprocess.
 *
 * The reasons are Erlang's: `normal` and the two kinds of `shutdown` are orderly,
 * everything else is abnormal and makes a transient child restart.
 *
 * @module
 */

/** An error as plain data, as it crosses a thread or process boundary. */
export interface SerializedError {
  /** Its class name. */
  readonly name: string;
  /** Its message, truncated to 16 Ki characters. */
  readonly message: string;
  /** Its stack, truncated likewise. */
  readonly stack?: string;
  /** The `code` of errors that have one. */
  readonly code?: string;
  /** Plain data that belongs to the error. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** The error behind it. */
  readonly cause?: SerializedError;
}

/**
 * Why a process ended:
 *
 * - `"normal"`: its work was done;
 * - `"shutdown"`: it was asked to stop, or its supervisor gave up;
 * - `{ type: "shutdown", detail }`: the same, with a word on why;
 * - `"killed"`: it was ended by force, or was found hung;
 * - `"noproc"`: it was not there in the first place;
 * - `{ type: "crash", error }`: it threw, or exited on its own with a failure.
 */
export type ExitReason =
  | "normal"
  | "shutdown"
  | "killed"
  | "noproc"
  | { readonly type: "shutdown"; readonly detail: unknown }
  | { readonly type: "crash"; readonly error: SerializedError };

/** Longest message or stack, in UTF-16 units, so that crash reports stay small. */
const TEXT_LENGTH_MAX = 16_384;
/** Longest chain of causes. */
const CAUSE_DEPTH_MAX = 8;

/** Whether `reason` makes a transient child restart. */
export function isAbnormal(reason: ExitReason): boolean {
  return reason !== "normal" && reason !== "shutdown" &&
    !(typeof reason === "object" && reason.type === "shutdown");
}

/** The reason of a process that died from `error`. */
export function crash(error: unknown): ExitReason {
  return { type: "crash", error: serializeError(error) };
}

/** Under what a {@linkcode SerializedError} that was made here has its error, for the text of its stack. */
const ERROR = Symbol("error");

/**
 * Formatting a stack is expensive (a tenth of a millisecond), and most are
 * never read, so this is a getter; cloning a {@linkcode SerializedError} reads
 * it. One function for all: V8 would keep a getter per object, and all it
 * refers to, alive until a full garbage collection.
 */
const STACK: PropertyDescriptor & ThisType<{ readonly [ERROR]: Error }> = {
  enumerable: true,
  get(): string {
    return clip(this[ERROR].stack ?? "");
  },
};

/** Turns anything thrown into plain data. */
export function serializeError(error: unknown, depth = 0): SerializedError {
  if (!(error instanceof Error)) {
    return { name: "NonError", message: clip(textOf(error)) };
  }
  const { code, details } = error as { code?: unknown; details?: unknown };
  const serialized = {
    name: error.name,
    message: clip(error.message),
    ...(typeof code === "string" ? { code } : {}),
    ...(isPlainData(details) ? { details } : {}),
    ...(error.cause === undefined || depth >= CAUSE_DEPTH_MAX
      ? {}
      : { cause: serializeError(error.cause, depth + 1) }),
  };
  return Object.defineProperties(serialized, {
    [ERROR]: { value: error },
    stack: STACK,
  });
}

/** An error that happened in another process, with its data. */
export class RemoteError extends Error {
  /** The `name` of the original. */
  override name = "RemoteError";
  /** The `code` of the original, if it had one. */
  readonly code: string | undefined;
  /** The data of the original. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly #error: SerializedError;

  /** Creates the error from plain data. */
  constructor(error: SerializedError) {
    super(
      error.message,
      error.cause === undefined
        ? undefined
        : { cause: new RemoteError(error.cause) },
    );
    this.name = error.name;
    this.code = error.code;
    this.details = error.details ?? {};
    this.#error = error;
  }

  /** The stack where it was thrown. */
  get remoteStack(): string | undefined {
    return this.#error.stack;
  }
}

/** `reason` in a few words, for logs and tables. */
export function formatReason(reason: ExitReason): string {
  if (typeof reason === "string") return reason;
  return reason.type === "shutdown"
    ? `shutdown (${textOf(reason.detail)})`
    : `crash (${reason.error.name}: ${reason.error.message})`;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // Cyclic, or with a bigint: only its type can be shown.
    return Object.prototype.toString.call(value);
  }
}

function clip(text: string): string {
  return text.length <= TEXT_LENGTH_MAX
    ? text
    : `${text.slice(0, TEXT_LENGTH_MAX)}…`;
}

/** Only data that can be cloned crosses; the rest of the error is kept without it. */
function isPlainData(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  if (isPlain(value, PLAIN_DEPTH_MAX)) return true;
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

/** Depth to which details are inspected; deeper ones are checked by cloning. */
const PLAIN_DEPTH_MAX = 4;

/** Whether `value` is certainly plain data, as most details are. A trial clone is expensive, especially if it formats a stack. */
function isPlain(value: unknown, depth: number): boolean {
  if (typeof value === "string" || typeof value === "number") return true;
  if (typeof value !== "object" || value === null) return false;
  if (ERROR in value) return true;
  return depth > 0 && Object.getPrototypeOf(value) === Object.prototype &&
    Object.values(value).every((part) => isPlain(part, depth - 1));
}
