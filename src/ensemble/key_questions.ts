/**
 * Asks the members of an ensemble for the keys of a bucket: this node's own one,
 * else those on the owners of the preference list, else whoever has one. Each
 * answers when its state is as new as whatever was acknowledged before.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { BUCKET_BYTES_MAX, KEY_BYTES_MAX } from "../kv/key_limits.ts";
import { fieldOf, numberArgument } from "../ra_kv/method_arguments.ts";
import { hasExpired } from "../ra_kv/ra_kv_machine.ts";
import { raKvMember } from "../ra_kv/ra_kv_member.ts";
import type { RaKvMember } from "../ra_kv/ra_kv_service.ts";
import { raftFailure } from "../raft/raft_failure.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import { ensembleOwners } from "../ring/consistent_buckets.ts";
import { type KeyChunk, keysInTable } from "./consistent_keys.ts";
import { partitionGroup } from "./ensemble_names.ts";

/** Time one member has to answer before the next one is asked, in milliseconds. */
const ANSWER_TIMEOUT_MS = 2_000;
/** Time before all are asked again when none has answered, in milliseconds. */
const PAUSE_MS = 50;

/** How members of ensembles are reached. */
export interface KeyQuestionsWorld {
  /** Name of this node. */
  readonly self: string;
  readonly runtime: Runtime;
  readonly system: () => RaftSystem | undefined;
  /** Owner by partition. */
  readonly owners: () => readonly string[];
  readonly isUp: (node: string) => boolean;
  /** Nodes that have a member of `group`, as all nodes say that can be reached. */
  readonly find: (group: string) => Promise<readonly string[]>;
  /** Has another node answer. @throws {WhorlError} What it fails with, `timeout`, or `not_reachable`. */
  readonly call: (
    node: string,
    method: string,
    args: unknown,
    timeoutMs: number,
  ) => Promise<unknown>;
}

/** Questions for keys, and answers; see the module's text. */
export class KeyQuestions {
  readonly #world: KeyQuestionsWorld;

  constructor(world: KeyQuestionsWorld) {
    this.#world = world;
  }

  /** As `ConsistentKeysOptions.keysOf`. */
  async keysOf(
    partition: number,
    bucket: Uint8Array,
    after: Uint8Array,
    deadlineMs: number,
  ): Promise<KeyChunk> {
    const { self, runtime, owners, isUp, find } = this.#world;
    const group = partitionGroup(partition);
    let last: unknown;
    while (runtime.now() < deadlineMs) {
      const nodes = new Set([
        ...(this.#memberHere(group) === undefined ? [] : [self]),
        ...ensembleOwners(owners(), partition).filter((node) =>
          node !== self && isUp(node)
        ),
      ]);
      for (
        const asked of [() => Promise.resolve([...nodes]), () => find(group)]
      ) {
        for (const node of await asked()) {
          const timeLeftMs = deadlineMs - runtime.now();
          if (timeLeftMs <= 0) break;
          try {
            return await this.#ask(node, partition, bucket, after, timeLeftMs);
          } catch (error) {
            if (!isWhorlError(error)) throw error;
            last = error;
          }
        }
      }
      await this.#pause();
    }
    throw new WhorlError(
      "timeout",
      `Cannot list the keys of partition ${partition} in time as no member of its ensemble has answered with a majority`,
      { details: { partition }, cause: last },
    );
  }

  async #ask(
    node: string,
    partition: number,
    bucket: Uint8Array,
    after: Uint8Array,
    timeLeftMs: number,
  ): Promise<KeyChunk> {
    const args = { partition, bucket, after };
    if (node === this.#world.self) {
      return await this.#inTime(this.keysHere(args), timeLeftMs);
    }
    const answer = await this.#world.call(
      node,
      "ensemble_keys",
      args,
      Math.min(ANSWER_TIMEOUT_MS, Math.ceil(timeLeftMs)),
    );
    const keys = fieldOf(answer, "keys");
    const last = fieldOf(answer, "last");
    if (keys instanceof Uint8Array) {
      return {
        node,
        keys,
        last: last instanceof Uint8Array ? last : undefined,
      };
    }
    throw new WhorlError(
      "protocol_error",
      `Cannot read the keys of partition ${partition} that ${node} has sent`,
    );
  }

  /** Answers another node. @throws {WhorlError} `unknown_cluster` without a member here, `not_leader` and the like. */
  async keysHere(args: unknown): Promise<KeyChunk> {
    const { self } = this.#world;
    const partition = numberArgument(args, "partition");
    const bucket = bytesArgument(args, "bucket", BUCKET_BYTES_MAX);
    const after = bytesArgument(args, "after", KEY_BYTES_MAX);
    const member = this.#memberHere(partitionGroup(partition));
    if (member === undefined) {
      throw new WhorlError(
        "unknown_cluster",
        `Cannot list keys as ${self} has no member of the ensemble of partition ${partition}`,
      );
    }
    await confirmed(member);
    const { state } = member;
    return {
      node: self,
      ...keysInTable(
        state.keys,
        bucket,
        after,
        (record) => !hasExpired(state, record),
      ),
    };
  }

  #memberHere(group: string): RaKvMember | undefined {
    return raKvMember(this.#world.system(), group);
  }

  async #inTime<Result>(
    work: Promise<Result>,
    timeLeftMs: number,
  ): Promise<Result> {
    const { runtime } = this.#world;
    const late = Promise.withResolvers<never>();
    const timer = runtime.setTimer(
      Math.min(ANSWER_TIMEOUT_MS, timeLeftMs),
      () =>
        late.reject(
          new WhorlError("timeout", "The member here did not answer in time"),
        ),
    );
    try {
      return await Promise.race([work, late.promise]);
    } finally {
      runtime.clearTimer(timer);
    }
  }

  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#world.runtime.setTimer(PAUSE_MS, resolve);
    await promise;
  }
}

/** Resolves when what the member has is as new as what was acknowledged before. */
function confirmed(member: RaKvMember): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  member.consistentRead({
    done: resolve,
    failed: (reason, leader) => reject(raftFailure(member, reason, leader)),
  });
  return promise;
}

function bytesArgument(
  args: unknown,
  name: string,
  bytesMax: number,
): Uint8Array {
  const bytes = fieldOf(args, name);
  if (bytes instanceof Uint8Array && bytes.length <= bytesMax) return bytes;
  throw new WhorlError(
    "invalid_argument",
    `Cannot take '${name}' as it must be up to ${bytesMax} bytes`,
  );
}
