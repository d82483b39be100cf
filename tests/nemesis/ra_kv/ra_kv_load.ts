/**
 * What clients of `ra_kv` do: get, put, delete, and change on condition of what
 * they have seen. Every value is written once, so that a value tells who wrote
 * it.
 *
 * Beside them, one client a node does nothing but get. Of those that write, each
 * soon waits for a write that a leader without a majority cannot finish; such a
 * leader is asked what it would answer only by who has nothing to write.
 *
 * @module
 */
import type { Chance } from "../../../src/base/chance.ts";
import { isWhorlError } from "../../../src/base/errors.ts";
import type { WhorlClient } from "../../../src/node/connect.ts";
import {
  type RaKvClient,
  type RaKvFound,
  raKvOutcomeUnknown,
  type RaKvWritten,
} from "../../../src/ra_kv/ra_kv_client.ts";
import type {
  RaKvInput,
  RaKvOutput,
} from "../../../src/simulation/checkers/ra_kv_model.ts";
import type { HistoryRecorder } from "../../../src/simulation/history.ts";
import {
  type Load,
  type LoadOptions,
  type LoadUser,
  OPERATION_MS_MAX,
  startLoad,
} from "../load_clients.ts";

/** The cluster under attack. */
export const GROUP = "nemesis";

/** An operation as it is recorded: what the model knows, and how it was asked. */
export type RaKvAsked =
  & Exclude<RaKvInput, { readonly type: "batch" }>
  & {
    /** Index that the key must have, which for each index stands for one value. */
    readonly ifIndex?: number;
    /** Who reads. */
    readonly from?: "leader" | "local";
    /** Whether it was asked by a client that does nothing but get. */
    readonly watching?: boolean;
  };

/** What clients saw. */
export type RaKvHistory = HistoryRecorder<RaKvAsked, RaKvOutput>;

/** What a client has seen of a key. */
export interface Seen {
  readonly value: string | null;
  readonly index: number;
}

/** Reads as the model has it. */
export function seenOf({ value, index }: RaKvFound): Seen {
  return { value: value === undefined ? null : value as string, index };
}

/** What clients are told, and how many more of them do nothing but get. */
export interface RaKvLoadOptions
  extends Omit<LoadOptions<RaKvAsked, RaKvOutput>, "user" | "outcomeUnknown"> {
  readonly watchers: number;
}

/** Begins a load. */
export function startRaKvLoad(
  { clients, watchers, ...options }: RaKvLoadOptions,
): Load {
  return startLoad({
    ...options,
    clients: clients + watchers,
    user: (name, chance, number) =>
      number < clients ? new RaKvUser(name, chance) : WATCHER,
    outcomeUnknown: raKvOutcomeUnknown,
  });
}

/** Gets what the leader has, or who takes itself for it. */
const WATCHER: LoadUser<RaKvAsked, RaKvOutput> = {
  draw: () => ({ type: "get", from: "leader", watching: true }),
  ask: async ({ raKv }, key, input) => (await perform(raKv, key, input)).output,
};

/** Client of a name, which draws from `chance`. */
export class RaKvUser implements LoadUser<RaKvAsked, RaKvOutput> {
  readonly #name: string;
  readonly #chance: Chance;
  readonly #seen = new Map<string, Seen>();
  #written = 0;

  constructor(name: string, chance: Chance) {
    this.#name = name;
    this.#chance = chance;
  }

  draw(key: string): RaKvAsked {
    const dice = this.#chance.next();
    const from = this.#chance.chance(0.4) ? "local" : "leader";
    const seen = this.#seen.get(key);
    if (dice < 0.3) return { type: "get", from };
    if (dice < 0.55) return { type: "put", value: this.#newValue(key) };
    if (dice < 0.65) return { type: "delete" };
    // What it remembers may have grown old, as others write as well.
    if (seen === undefined) return { type: "get", from };
    const { value: expected, index: ifIndex } = seen;
    const removes = expected !== null && dice > 0.95;
    const value = removes ? null : this.#newValue(key);
    return { type: "cas", expected, value, ifIndex };
  }

  #newValue(key: string): string {
    return `${key} ${this.#name} ${++this.#written}`;
  }

  async ask(
    { raKv }: WhorlClient,
    key: string,
    input: RaKvAsked,
  ): Promise<RaKvOutput> {
    // What it knows is of no use once it has written, and does not hear of it.
    const seen = this.#seen.get(key);
    this.#seen.delete(key);
    const { output, now } = await perform(raKv, key, input);
    if (now !== undefined) this.#seen.set(key, now);
    else if (input.type === "get" && seen !== undefined) {
      this.#seen.set(key, seen);
    }
    return output;
  }
}

/** Performs an operation; tells what the key holds afterwards where that is known. @throws {WhorlError} As `ra_kv` does, unless a majority has agreed to it. */
export async function perform(
  raKv: RaKvClient,
  key: string,
  input: RaKvAsked,
  timeoutMs = OPERATION_MS_MAX,
): Promise<{ readonly output: RaKvOutput; readonly now?: Seen }> {
  const { ifIndex } = input;
  switch (input.type) {
    case "get": {
      const { from } = input;
      const now = seenOf(await raKv.get(GROUP, key, { timeoutMs, from }));
      return { output: now.value, now };
    }
    case "put":
    case "cas": {
      const value = input.value as string | null;
      if (value === null) return await remove(raKv, key, ifIndex, timeoutMs);
      const options = { timeoutMs, ifIndex };
      const written = await agreed(raKv.put(GROUP, key, value, options));
      if (written === undefined) return { output: false };
      const { index } = written;
      return { output: index, now: { value, index } };
    }
    case "delete":
      return await remove(raKv, key, ifIndex, timeoutMs);
  }
}

async function remove(
  raKv: RaKvClient,
  key: string,
  ifIndex: number | undefined,
  timeoutMs: number,
): Promise<{ readonly output: number | false; readonly now?: Seen }> {
  const options = { timeoutMs, ifIndex };
  const written = await agreed(raKv.delete(GROUP, key, options));
  if (written !== undefined) {
    return { output: written.index, now: { value: null, index: 0 } };
  }
  return { output: false };
}

/** What a write came to; `undefined` if a majority has agreed that its condition does not hold. */
async function agreed(
  writing: Promise<RaKvWritten>,
): Promise<RaKvWritten | undefined> {
  try {
    return await writing;
  } catch (error) {
    if (
      isWhorlError(error, "index_mismatch") || isWhorlError(error, "not_found")
    ) return undefined;
    throw error;
  }
}
