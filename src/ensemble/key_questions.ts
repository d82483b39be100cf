/**
 * Asks the members of an ensemble for the keys of a bucket. Each answers when
 * its state is as recent as everything acknowledged before, and while the
 * ensemble has the keys: one whose keys have moved says where they are, and one
 * that has yet to get them is waited for.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { BUCKET_BYTES_MAX, KEY_BYTES_MAX } from "../kv/key_limits.ts";
import { fieldOf, numberArgument } from "../ra_kv/method_arguments.ts";
import { hasExpired } from "../ra_kv/ra_kv_machine.ts";
import { unservedFailure } from "../ra_kv/ra_kv_service.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import { type KeyChunk, keysInTable } from "./consistent_keys.ts";
import { vnodeGroup } from "./ensemble_names.ts";
import { bytesArgument, type MemberQuestions } from "./member_questions.ts";

/** How to reach members of ensembles. */
export interface KeyQuestionsWorld {
  /** Name of this node. */
  readonly self: string;
  readonly members: MemberQuestions;
  /** Owner by partition, in the ring of that vnode. */
  readonly owners: (vnode: number) => readonly string[];
}

/** Requests for keys, and answers; see the module comment. */
export class KeyQuestions {
  readonly #world: KeyQuestionsWorld;

  constructor(world: KeyQuestionsWorld) {
    this.#world = world;
  }

  /** As `ConsistentKeysOptions.keysOf`. */
  keysOf(
    vnode: number,
    bucket: Uint8Array,
    after: Uint8Array,
    deadlineMs: number,
  ): Promise<KeyChunk> {
    const partition = partitionOfVnode(vnode);
    // Older versions read this field; in a ring that was never resized the
    // numbers are the same.
    const args = { partition: vnode, bucket, after };
    return this.#world.members.ask({
      group: vnodeGroup(vnode),
      owners: () => this.#world.owners(vnode),
      partition,
      deadlineMs,
      purpose: `list the keys of partition ${partition}`,
      here: () => this.keysHere(args),
      method: "ensemble_keys",
      args,
      read: (answer, node) => chunkOf(answer, node, partition),
      isFinal: (error) => isWhorlError(error, "moved"),
    });
  }

  /**
   * Answers another node.
   *
   * @throws {WhorlError} `unknown_cluster` without a member here, `not_leader`,
   * `moved`, `not_open` and the like.
   */
  async keysHere(args: unknown): Promise<KeyChunk> {
    const { self, members } = this.#world;
    const vnode = numberArgument(args, "partition");
    const bucket = bytesArgument(args, "bucket", BUCKET_BYTES_MAX);
    const after = bytesArgument(args, "after", KEY_BYTES_MAX);
    const member = await members.confirmedHere(vnodeGroup(vnode));
    const unserved = unservedFailure(member);
    if (unserved !== undefined) throw unserved;
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
}

function chunkOf(answer: unknown, node: string, partition: number): KeyChunk {
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
