/**
 * The quorum options of callers, and the numbers they stand for.
 *
 * | option       | counts                                                | default  |
 * | ------------ | ----------------------------------------------------- | -------- |
 * | n            | replicas that are asked                               | 3        |
 * | r, w         | replicas that answered, or accepted the write         | "quorum" |
 * | pr, pw       | of these, primaries                                   | 0        |
 * | dw           | replicas on which the write is durable                | w        |
 * | nodeConfirms | distinct nodes among the r or w                       | see below |
 *
 * `dw` follows `w` unless it is given, so that an acknowledged write survives a
 * power failure on W replicas; `dw: 0` trades that for speed. Durable means
 * what the replica's store promises, which is nothing for memory.
 *
 * Answers must come from R or W distinct nodes if the preference list has that
 * many. `nodeConfirms` makes that a strict demand: a request whose preference
 * list has fewer nodes fails.
 *
 * Names and rules are riak_kv's (`riak_kv_put_fsm`, `riak_kv_get_fsm`).
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** A number of replicas: itself, 1, more than half of N, or N. */
export type QuorumSize = number | "one" | "quorum" | "all";

/** Options of both reads and writes. */
export interface QuorumOptions {
  /** Replicas to ask, from 1 to 8 and at most the ring size. @default {3} */
  readonly n?: number | undefined;
  /** Distinct nodes that must have answered. @default {as many as there are, up to r or w} */
  readonly nodeConfirms?: QuorumSize | undefined;
  /** Milliseconds the caller waits, from 1 to 3,600,000. @default {5000} */
  readonly timeoutMs?: number | undefined;
  /**
   * "sloppy": a fallback stands in for a primary that is down. "strict": only
   * primaries are asked.
   *
   * @default {"sloppy"}
   */
  readonly quorum?: "sloppy" | "strict" | undefined;
}

/** Options of a read. */
export interface ReadQuorumOptions extends QuorumOptions {
  /** Replicas that must have answered, from 1 to n. @default {"quorum"} */
  readonly r?: QuorumSize | undefined;
  /** Primaries that must have answered, from 0 to n. @default {0} */
  readonly pr?: QuorumSize | undefined;
}

/** Options of a write. */
export interface WriteQuorumOptions extends QuorumOptions {
  /** Replicas that must have accepted the write, from 1 to n. @default {"quorum"} */
  readonly w?: QuorumSize | undefined;
  /** Primaries that must have accepted the write, from 0 to n. @default {0} */
  readonly pw?: QuorumSize | undefined;
  /** Replicas on which the write must be durable, from 0 to n. @default {the same as w} */
  readonly dw?: QuorumSize | undefined;
}

/** A quorum in numbers, as used by state machines and carried in frames. */
export interface QuorumRule {
  /** Which options its numbers come from. */
  readonly kind: "read" | "write";
  readonly n: number;
  /** R or W. */
  readonly need: number;
  /** PR or PW. */
  readonly primaries: number;
  /** DW; 0 for reads. */
  readonly durable: number;
  /** 0 if the caller did not ask for distinct nodes. */
  readonly nodeConfirms: number;
  /** Fallbacks are not asked. */
  readonly strict: boolean;
  /** Milliseconds after which the caller is answered in any case. */
  readonly timeoutMs: number;
}

/** Most replicas of a request; a set of them is a bit mask of one byte. */
export const REPLICAS_MAX = 8;
/** Replicas of a request that does not specify them: riak_core's `n_val`. */
export const N_DEFAULT = 3;
/**
 * The timeout of an Erlang call, which the tutorials use; riak_kv's minute
 * would hide trouble from users.
 */
export const TIMEOUT_MS_DEFAULT = 5_000;
/** One hour. */
const TIMEOUT_MS_MAX = 3_600_000;

const READ_DEFAULT: QuorumRule = Object.freeze({
  kind: "read",
  n: N_DEFAULT,
  need: 2,
  primaries: 0,
  durable: 0,
  nodeConfirms: 0,
  strict: false,
  timeoutMs: TIMEOUT_MS_DEFAULT,
});
const WRITE_DEFAULT: QuorumRule = Object.freeze({
  ...READ_DEFAULT,
  kind: "write",
  durable: 2,
});

/**
 * The quorum of a read with these `options` in a ring of `ringSize` partitions.
 *
 * @throws {WhorlError} `invalid_quorum`; its details name `option`, `rule` and
 * `value`.
 */
export function readQuorum(
  options: ReadQuorumOptions | undefined,
  ringSize: number,
): QuorumRule {
  if (options === undefined && ringSize >= N_DEFAULT) return READ_DEFAULT;
  const { n, nodeConfirms = 0, timeoutMs, quorum, r = "quorum", pr = 0 } =
    options ?? {};
  const replicas = replicaCount(n, ringSize);
  return {
    kind: "read",
    n: replicas,
    need: size("r", r, 1, replicas),
    primaries: size("pr", pr, 0, replicas),
    durable: 0,
    nodeConfirms: size("nodeConfirms", nodeConfirms, 0, replicas),
    strict: isStrict(quorum),
    timeoutMs: timeout(timeoutMs),
  };
}

/**
 * The quorum of a write with these `options` in a ring of `ringSize`
 * partitions.
 *
 * @throws {WhorlError} `invalid_quorum`; its details name `option`, `rule` and
 * `value`.
 */
export function writeQuorum(
  options: WriteQuorumOptions | undefined,
  ringSize: number,
): QuorumRule {
  if (options === undefined && ringSize >= N_DEFAULT) return WRITE_DEFAULT;
  const { n, nodeConfirms = 0, timeoutMs, quorum, w = "quorum", pw = 0, dw } =
    options ?? {};
  const replicas = replicaCount(n, ringSize);
  const need = size("w", w, 1, replicas);
  return {
    kind: "write",
    n: replicas,
    need,
    primaries: size("pw", pw, 0, replicas),
    durable: size("dw", dw === undefined ? need : dw, 0, replicas),
    nodeConfirms: size("nodeConfirms", nodeConfirms, 0, replicas),
    strict: isStrict(quorum),
    timeoutMs: timeout(timeoutMs),
  };
}

/**
 * Checks a rule that came from another process against the same limits.
 *
 * @throws {WhorlError} `invalid_quorum`, as {@linkcode readQuorum} does.
 */
export function checkQuorumRule(rule: QuorumRule, ringSize: number): void {
  const n = replicaCount(rule.n, ringSize);
  const write = rule.kind === "write";
  size(write ? "w" : "r", rule.need, 1, n);
  size(write ? "pw" : "pr", rule.primaries, 0, n);
  size("dw", rule.durable, 0, write ? n : 0);
  size("nodeConfirms", rule.nodeConfirms, 0, n);
  timeout(rule.timeoutMs);
}

function replicaCount(n: unknown, ringSize: number): number {
  if (n === undefined) n = Math.min(N_DEFAULT, ringSize);
  const max = Math.min(REPLICAS_MAX, ringSize);
  return wholeNumber("n", n, 1, max, `a whole number from 1 to ${max}`);
}

function size(option: string, value: unknown, min: number, n: number): number {
  switch (value) {
    case "one":
      return 1;
    case "quorum":
      return (n >> 1) + 1;
    case "all":
      return n;
    default:
      return wholeNumber(
        option,
        value,
        min,
        n,
        `"one", "quorum", "all" or a whole number from ${min} to ${n}`,
      );
  }
}

function timeout(value: unknown): number {
  return wholeNumber(
    "timeoutMs",
    value === undefined ? TIMEOUT_MS_DEFAULT : value,
    1,
    TIMEOUT_MS_MAX,
    `a whole number from 1 to ${TIMEOUT_MS_MAX}`,
  );
}

function isStrict(value: unknown): boolean {
  if (value === undefined || value === "sloppy") return false;
  if (value === "strict") return true;
  throw invalidQuorum("quorum", value, `"sloppy" or "strict"`);
}

function wholeNumber(
  option: string,
  value: unknown,
  min: number,
  max: number,
  rule: string,
): number {
  if (
    typeof value === "number" && Number.isInteger(value) && value >= min &&
    value <= max
  ) return value;
  throw invalidQuorum(option, value, rule);
}

function invalidQuorum(
  option: string,
  value: unknown,
  rule: string,
): WhorlError {
  const shown = typeof value === "string"
    ? JSON.stringify(value.slice(0, 64))
    : typeof value === "number"
    ? String(value)
    : value === null
    ? "null"
    : `of type ${typeof value}`;
  return new WhorlError(
    "invalid_quorum",
    `Cannot take ${option} as it must be ${rule}: current value is ${shown}`,
    { details: { option, rule, value: shown } },
  );
}
