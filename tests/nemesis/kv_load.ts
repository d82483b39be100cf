/**
 * What clients of `kv` do: read, write and delete keys of their round.
 *
 * Rounds take turns. With strict quorums only primaries answer, so R + W > N
 * holds and a read must see what was acknowledged before it. With sloppy ones,
 * which are the default of `kv`, fallbacks stand in.
 *
 * @module
 */
import type { Chance } from "../../src/base/chance.ts";
import { kvOutcomeUnknown, type KvPutResult } from "../../src/kv/kv_client.ts";
import type { WhorlClient } from "../../src/node/connect.ts";
import type {
  KvInput,
  KvOutput,
} from "../../src/simulation/checkers/kv_history.ts";
import {
  type Load,
  type LoadOptions,
  type LoadUser,
  OPERATION_MS_MAX,
  startLoad,
} from "./load_clients.ts";

/** The bucket of all keys. */
export const BUCKET = "nemesis";

/** Which replicas may answer. */
export type Quorum = "strict" | "sloppy";

/** What a write gave, and how many nodes took it as primaries: what the final read must know. */
export interface LoadWritten {
  readonly context: string;
  readonly siblings: number;
  readonly primaryNodes: number;
}

/** What the clients of a round are told. */
export interface KvLoadOptions
  extends Omit<LoadOptions<KvInput, KvOutput>, "user" | "outcomeUnknown"> {
  readonly quorum: Quorum;
}

/** Begins a load. */
export function startKvLoad({ quorum, ...options }: KvLoadOptions): Load {
  return startLoad({
    ...options,
    user: (name, chance) => new KvUser(name, chance, quorum),
    outcomeUnknown: kvOutcomeUnknown,
  });
}

class KvUser implements LoadUser<KvInput, KvOutput> {
  readonly #name: string;
  readonly #chance: Chance;
  readonly #quorum: Quorum;
  /** The newest context of each key that this client has seen. */
  readonly #contexts = new Map<string, string>();
  #written = 0;

  constructor(name: string, chance: Chance, quorum: Quorum) {
    this.#name = name;
    this.#chance = chance;
    this.#quorum = quorum;
  }

  draw(key: string): KvInput {
    const dice = this.#chance.next();
    const known = this.#contexts.get(key);
    // Now and then a client writes without having looked, which makes siblings.
    const blind = known === undefined || this.#chance.chance(0.15);
    const context = blind ? {} : { context: known };
    if (dice < 0.4) return { type: "get" };
    if (dice < 0.92) {
      const number = ++this.#written;
      return {
        type: "put",
        value: `${key} ${this.#name} ${number}`,
        ...context,
      };
    }
    return { type: "delete", ...context };
  }

  async ask(
    client: WhorlClient,
    key: string,
    input: KvInput,
  ): Promise<KvOutput> {
    const output = await this.#ask(client, key, input);
    if (output.context !== null) this.#contexts.set(key, output.context);
    return output;
  }

  async #ask(
    { kv }: WhorlClient,
    key: string,
    input: KvInput,
  ): Promise<KvOutput> {
    const options = { quorum: this.#quorum, timeoutMs: OPERATION_MS_MAX };
    switch (input.type) {
      case "get": {
        const { values, context } = await kv.get(BUCKET, key, options);
        return { values, context };
      }
      case "put": {
        const { context } = input;
        return written(
          await kv.put(BUCKET, key, input.value, { ...options, context }),
        );
      }
      case "delete": {
        const { context } = input;
        return written(await kv.delete(BUCKET, key, { ...options, context }));
      }
    }
  }
}

function written(
  { context, siblings, replicas }: KvPutResult,
): LoadWritten {
  const primaries = replicas.filter(({ primary, state }) =>
    primary && state === "done"
  );
  const nodes = new Set(primaries.map(({ node }) => node));
  return { context, siblings, primaryNodes: nodes.size };
}
