/**
 * What tanodb can be asked, on any node of its cluster: `ping`, `get`, `put`,
 * `delete` and `keys`. Whorl finds the vnodes, counts their answers and keeps
 * the deadline; this makes sense of what they answered.
 *
 * @module
 */
import {
  type CoverageReport,
  isWhorlError,
  type JsonValue,
  type ModuleClient,
  type ModuleResult,
  type QuorumSize,
} from "../../mod.ts";
import type { Row } from "./tanodb_row.ts";
import type {
  RowName,
  TanodbCommands,
  TanodbCoverage,
} from "./tanodb_vnode.ts";

/** The replicas of a row unless something else is said. */
export const REPLICAS = 3;
/** How long a listing of keys may take, in milliseconds. */
export const KEYS_TIMEOUT_MS = 5_000;

/** What can be asked, by name. */
export const OPERATIONS = ["ping", "get", "put", "delete", "keys"] as const;
/** One of {@linkcode OPERATIONS}. */
export type Operation = typeof OPERATIONS[number];

/** How many vnodes are asked, and how long. */
export interface TanodbOptions {
  /** Replicas that are asked. @default {3} */
  readonly n?: number | undefined;
  /** Milliseconds until the call fails with `timeout`. @default {5000} */
  readonly timeoutMs?: number | undefined;
}

/** Options of a read. */
export interface TanodbReadOptions extends TanodbOptions {
  /** Replicas that must have answered. @default {"quorum"} */
  readonly r?: QuorumSize | undefined;
}

/** Options of a write. */
export interface TanodbWriteOptions extends TanodbOptions {
  /** Replicas that must have succeeded; errors do not count. @default {"all"} */
  readonly w?: QuorumSize | undefined;
}

/** Who answered. */
export interface Replica {
  /** The partition of the row that it holds, or stands in for. */
  readonly partition: number;
  /** Its node. */
  readonly node: string;
}

/** There is such a row. */
export type Found = Replica & RowName & {
  readonly status: "found";
  readonly value: JsonValue;
};
/** There is no such row. */
export type NotFound = Replica & RowName & { readonly status: "not_found" };
/** The row has been written. */
export type Written = Replica & { readonly status: "ok" };

/** What several replicas answered, the last of the preference list first. */
export interface Replies<Reply> {
  readonly status: "ok";
  readonly replies: readonly Reply[];
}

/** The keys that one vnode has in a bucket. */
export interface KeysRow extends Replica {
  /** In order; replicas of a row are in the rows of several vnodes. */
  readonly keys: readonly string[];
}

/** What the vnodes have in a bucket. */
export interface KeysResult {
  /** "partial": some vnodes have not answered. */
  readonly status: "ok" | "partial";
  /** One row for every vnode that has answered, by partition. */
  readonly rows: readonly KeysRow[];
  /** Partitions of the vnodes that have not. */
  readonly missing: readonly number[];
  /** Whether those that have answered hold a replica of every row that was put to three vnodes. */
  readonly complete: boolean;
  /** Why the listing ended early, if it did. */
  readonly reason?: string;
}

/** The operations of tanodb. */
export class Tanodb {
  /**
   * The same with one vnode instead of three, as before the chapter on node
   * failures. What was written so is lost with its node.
   */
  readonly single: SingleTanodb;
  readonly #vnodes: ModuleClient<TanodbCommands, TanodbCoverage>;
  readonly #count: (operation: Operation) => void;
  #stamped = 0;

  /**
   * @param vnodes The module on a node, or over a connection to one.
   * @param count Told of each operation as it begins.
   */
  constructor(
    vnodes: ModuleClient<TanodbCommands, TanodbCoverage>,
    count: (operation: Operation) => void = () => {},
  ) {
    this.#vnodes = vnodes;
    this.#count = count;
    this.single = new SingleTanodb(this);
  }

  /** The partition of some vnode that is well. */
  async ping(): Promise<{ readonly pong: number }> {
    this.#count("ping");
    // The time is another key each time, so vnodes take turns.
    const time = String(performance.timeOrigin + performance.now());
    const { replies } = await this.#vnodes.request(
      "ping",
      time,
      "ping",
      undefined,
      { n: 1, r: 1 },
    );
    return { pong: replies[0] as number };
  }

  /**
   * The value of a row. Of replicas that differ the one written last counts; the
   * partition is that of the first in the preference list that has it.
   */
  async get(
    bucket: string,
    key: string,
    { n = REPLICAS, r = "quorum", ...rest }: TanodbReadOptions = {},
  ): Promise<Found | NotFound> {
    this.#count("get");
    const name = { bucket, key };
    const result = await this.#vnodes.request(bucket, key, "get", name, {
      n,
      r,
      ...rest,
    });
    const answers = answersOf(result);
    const written = answers.filter(([, row]) => row !== null);
    const newest = Math.max(...written.map(([, row]) => (row as Row).at));
    const answer = written.find(([, row]) => row?.at === newest) ?? answers[0];
    return foundIn(answer as Answer, name);
  }

  /** Writes a row; resolves when `w` replicas have it. */
  async put(
    bucket: string,
    key: string,
    value: JsonValue,
    { n = REPLICAS, w = "all", ...rest }: TanodbWriteOptions = {},
  ): Promise<Replies<Written>> {
    this.#count("put");
    const json = JSON.stringify(value) as string | undefined;
    if (json === undefined) {
      throw new TypeError(
        `Cannot put a value as it must be JSON: it is of type ${typeof value}`,
      );
    }
    const row = { bucket, key, at: this.#stamp(), json };
    const result = await this.#vnodes.request(bucket, key, "put", row, {
      n,
      w,
      ...rest,
    });
    const replies = answersOf(result).map(([replica]) => ({
      status: "ok" as const,
      ...replica,
    }));
    return { status: "ok", replies: replies.reverse() };
  }

  /** Deletes a row; resolves to what `w` replicas had. */
  async delete(
    bucket: string,
    key: string,
    { n = REPLICAS, w = "all", ...rest }: TanodbWriteOptions = {},
  ): Promise<Replies<Found | NotFound>> {
    this.#count("delete");
    const name = { bucket, key };
    const row = { ...name, at: this.#stamp() };
    const result = await this.#vnodes.request(bucket, key, "delete", row, {
      n,
      w,
      ...rest,
    });
    const replies = answersOf(result).map((answer) => foundIn(answer, name));
    return { status: "ok", replies: replies.reverse() };
  }

  /** Asks every vnode which keys it has in a bucket. */
  async keys(bucket: string): Promise<KeysResult> {
    this.#count("keys");
    // With one replica to a key there is nobody to ask but its own vnode: so all are asked.
    const query = this.#vnodes.coverage("keys", { bucket }, {
      n: 1,
      mode: "allup",
      timeoutMs: KEYS_TIMEOUT_MS,
    });
    const keys = new Map<number, string[]>();
    let reason: string | undefined;
    try {
      for await (const { part, value } of query) {
        const known = keys.get(part) ?? [];
        known.push(...value);
        keys.set(part, known);
      }
    } catch (error) {
      // What has been said by then is worth something.
      if (!isWhorlError(error, "timeout") || query.report === undefined) {
        throw error;
      }
      reason = error.message;
    }
    return keysResult(query.report as CoverageReport, keys, reason);
  }

  /** The time, and another one each time: what is asked for later is later. */
  #stamp(): number {
    this.#stamped = Math.max(Date.now(), this.#stamped + 1);
    return this.#stamped;
  }
}

/** The operations of tanodb with one vnode a row. */
export class SingleTanodb {
  readonly #tanodb: Tanodb;

  /** Prefer {@linkcode Tanodb.single}. */
  constructor(tanodb: Tanodb) {
    this.#tanodb = tanodb;
  }

  /** The value of a row, as its vnode has it. */
  get(bucket: string, key: string): Promise<Found | NotFound> {
    return this.#tanodb.get(bucket, key, { n: 1 });
  }

  /** Writes a row to its vnode. */
  async put(bucket: string, key: string, value: JsonValue): Promise<Written> {
    const { replies } = await this.#tanodb.put(bucket, key, value, { n: 1 });
    return replies[0] as Written;
  }

  /** Deletes a row at its vnode; resolves to what was there. */
  async delete(bucket: string, key: string): Promise<Found | NotFound> {
    const { replies } = await this.#tanodb.delete(bucket, key, { n: 1 });
    return replies[0] as Found | NotFound;
  }
}

type Answer = readonly [Replica, Row | null];

/** Who has answered, and what, in the order of the preference list. */
function answersOf(result: ModuleResult<Row | null>): Answer[] {
  return result.replicas.flatMap(({ partition, node }, i) => {
    const row = result.replies[i];
    return row === undefined ? [] : [[{ partition, node }, row] as const];
  });
}

function foundIn(
  [replica, row]: Answer,
  name: RowName,
): Found | NotFound {
  if (row === null || row.json === null) {
    return { status: "not_found", ...replica, ...name };
  }
  const value = JSON.parse(row.json) as JsonValue;
  return { status: "found", ...replica, ...name, value };
}

/**
 * What a listing came to.
 *
 * @param report Of a query that asked every vnode.
 * @param keys What was said, by the number of the vnode's part in the query.
 * @param reason Why it ended early, if it did.
 */
export function keysResult(
  report: CoverageReport,
  keys: ReadonlyMap<number, readonly string[]>,
  reason?: string,
): KeysResult {
  const rows = report.asked.flatMap(({ partition, node, state }, part) =>
    // A vnode that failed may have said half of what it has.
    state === "answered"
      ? [{ partition, node, keys: keys.get(part) ?? [] }]
      : []
  );
  // Each vnode answers for the key space of its own number.
  const { missing, ringSize } = report;
  const holdsNoReplica = (partition: number) =>
    Array.from({ length: REPLICAS }, (_, i) => (partition + i) % ringSize)
      .every((replica) => missing.includes(replica));
  return {
    status: missing.length === 0 ? "ok" : "partial",
    rows: rows.sort((one, other) => one.partition - other.partition),
    missing,
    complete: !missing.some(holdsNoReplica),
    ...(reason === undefined ? {} : { reason }),
  };
}
