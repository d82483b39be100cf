/**
 * The interface for people and programs: commands to the vnode of one key, and
 * queries to all vnodes.
 *
 * @module
 */
import {
  isWhorlError,
  type JsonValue,
  type ModuleClient,
  partitionIndex,
  type ReplyOf,
  type RequestOf,
  ringStatusText,
  type WhorlNode,
  withPromptText,
} from "../../mod.ts";
import rcExampleModule, {
  BUCKET,
  type Held,
  keyTerm,
  type RcExampleCommands,
  type RcExampleCoverage,
} from "./rc_example_vnode.ts";

/** Time for a query to all vnodes, in milliseconds. */
const COVERAGE_TIMEOUT_MS = 5_000;
/** Vnodes a replicated command goes to. */
const REPLICAS = 3;

/** The answer if a key has no value. */
export interface NotFound {
  readonly found: false;
}
/** The only {@linkcode NotFound}, so that it can be compared by identity. */
export const NOT_FOUND: NotFound = Object.freeze(
  withPromptText({ found: false as const }, "not_found"),
);

/** The data of one vnode: its partition on the 160-bit ring, its node, and the keys or values. */
export type Row<T> = readonly [
  index: bigint,
  node: string,
  list: readonly T[],
];

/** The data of all vnodes, without empty ones; `partial` if some could not be asked, and why. */
export type Rows<T> =
  | readonly ["ok", readonly Row<T>[]]
  | readonly ["partial", reason: string, readonly Row<T>[]];

/** A command that can be sent to several vnodes. */
export type ReplicatedCommand =
  | readonly ["ping"]
  | readonly ["put", JsonValue]
  | readonly ["get"]
  | readonly ["delete"];

/** The elements of the answers to a query to all vnodes. */
type ItemOf<K extends keyof RcExampleCoverage> = ReplyOf<
  RcExampleCoverage[K]
>[number];

/** The store, through one node. */
export class RcExample {
  readonly #node: WhorlNode;
  readonly #module: ModuleClient<RcExampleCommands, RcExampleCoverage>;

  /** The store through `node`, which runs the module. */
  constructor(node: WhorlNode) {
    this.#node = node;
    this.#module = node.module(rcExampleModule);
  }

  /** Asks the vnode of `key` for its partition; without one, the vnode of the present time. */
  async ping(
    key: string = String(performance.timeOrigin + performance.now()),
  ): Promise<readonly ["pong", bigint]> {
    return this.#pong(await this.#first(key, "ping", undefined, 1));
  }

  /** The owners of the partitions, as a legend and a picture. */
  ringStatus(): object {
    const status = this.#node.ringStatus();
    return withPromptText(status, ringStatusText(status));
  }

  /** Stores `value` under `key`, replacing any other. */
  async put(key: string, value: JsonValue): Promise<"ok"> {
    return await this.#first(key, "put", { key, value }, 1);
  }

  /** What `key` holds. */
  async get(key: string): Promise<JsonValue | NotFound> {
    return valueOf(await this.#first(key, "get", { key }, 1));
  }

  /** Deletes `key`, and answers what it held. */
  async delete(key: string): Promise<JsonValue | NotFound> {
    return valueOf(await this.#first(key, "delete", { key }, 1));
  }

  /** All keys, by vnode. */
  keys(): Promise<Rows<string>> {
    return this.#all("keys");
  }

  /** All values, by vnode. */
  values(): Promise<Rows<JsonValue>> {
    return this.#all("values");
  }

  /** Empties the store. @throws {Error} If a vnode could not be asked, or answered anything. */
  async clear(): Promise<"ok"> {
    const answer = await this.#all("clear");
    if (answer[0] === "ok" && answer[1].length === 0) return "ok";
    throw new Error(`Cannot clear everything: ${Deno.inspect(answer)}`);
  }

  /** Sends a command to three vnodes, and resolves to what the first of them answers. */
  async replicatedCommand(
    key: string,
    ...[command, value]: ReplicatedCommand
  ): Promise<JsonValue | NotFound | readonly ["pong", bigint]> {
    switch (command) {
      case "ping":
        return this.#pong(await this.#first(key, command, undefined, REPLICAS));
      case "put":
        return await this.#first(key, command, { key, value }, REPLICAS);
      default:
        return valueOf(await this.#first(key, command, { key }, REPLICAS));
    }
  }

  /** Sends a command to the first `n` active vnodes of `key`, and resolves with one answer. */
  async #first<K extends keyof RcExampleCommands>(
    key: string,
    command: K,
    body: RequestOf<RcExampleCommands[K]>,
    n: number,
  ): Promise<ReplyOf<RcExampleCommands[K]>> {
    const { replies } = await this.#module.request(
      BUCKET,
      keyTerm(key),
      command,
      body,
      { n, w: 1 },
    );
    // There is at least one, or the request would have failed.
    return replies.find((reply) => reply !== undefined)!;
  }

  async #all<K extends keyof RcExampleCoverage>(
    query: K,
  ): Promise<Rows<ItemOf<K>>> {
    const nothing = undefined as RequestOf<RcExampleCoverage[K]>;
    const asked = this.#module.coverage(query, nothing, {
      n: 1,
      mode: "allup",
      timeoutMs: COVERAGE_TIMEOUT_MS,
    });
    const parts = new Map<
      number,
      { partition: number; node: string; list: ItemOf<K>[] }
    >();
    let failure: string | undefined;
    try {
      for await (const { value, partition, node, part, repeats } of asked) {
        // Chunks of a vnode that failed later are repeated by another.
        if (repeats !== undefined) parts.delete(repeats);
        const list = value as readonly ItemOf<K>[];
        const found = parts.get(part);
        if (found !== undefined) found.list.push(...list);
        else parts.set(part, { partition, node, list: [...list] });
      }
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      failure = error.code;
    }
    if (asked.report?.complete !== true) failure ??= "insufficient_vnodes";
    const rows = [...parts.values()]
      .filter(({ list }) => list.length > 0)
      .sort((a, b) => a.partition - b.partition)
      .map(({ partition, node, list }) =>
        [this.#index(partition), node, list] as const
      );
    return failure === undefined ? ["ok", rows] : ["partial", failure, rows];
  }

  #pong(partition: number): readonly ["pong", bigint] {
    return ["pong", this.#index(partition)];
  }

  #index(partition: number): bigint {
    return partitionIndex(partition, this.#node.ringStatus().ringSize);
  }
}

function valueOf(held: Held): JsonValue | NotFound {
  return held === null ? NOT_FOUND : held.value;
}
