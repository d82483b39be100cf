/**
 * Asks some member of an ensemble: the one on this node, else those on the
 * owners of the preference list, else any that exists, until one has answered.
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { fieldOf } from "../ra_kv/method_arguments.ts";
import { raKvMember } from "../ra_kv/ra_kv_member.ts";
import type { RaKvMember } from "../ra_kv/ra_kv_service.ts";
import { raftFailure } from "../raft/raft_failure.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import { ensembleOwners } from "../ring/consistent_buckets.ts";

/**
 * Default timeout of one member before the next one is asked, in milliseconds.
 */
const ANSWER_TIMEOUT_MS = 2_000;
/** Pause before all are asked again when none has answered, in milliseconds. */
const PAUSE_MS = 50;

/** How to reach members of ensembles. */
export interface MemberQuestionsWorld {
  /** Name of this node. */
  readonly self: string;
  readonly runtime: Runtime;
  readonly system: () => RaftSystem | undefined;
  readonly isUp: (node: string) => boolean;
  /** Nodes that have a member of `group`, according to all reachable nodes. */
  readonly find: (group: string) => Promise<readonly string[]>;
  /**
   * Calls another node.
   *
   * @throws {WhorlError} Its error, `timeout`, or `not_reachable`.
   */
  readonly call: (
    node: string,
    method: string,
    args: unknown,
    timeoutMs: number,
  ) => Promise<unknown>;
}

/** The members to ask, and the question. */
export interface MemberQuestion<Answer> {
  readonly group: string;
  /** Current owner by partition. */
  readonly owners: () => readonly string[];
  readonly partition: number;
  readonly deadlineMs: number;
  /**
   * Timeout of one member before the next one is asked, in milliseconds.
   * @default {2_000}
   */
  readonly answerTimeoutMs?: number;
  /** Its purpose, for people: "list the keys of partition 5". */
  readonly purpose: string;
  /** Asks the member of this node. */
  readonly here: () => Promise<Answer>;
  /** The method called on other nodes. */
  readonly method: string;
  readonly args: unknown;
  /** Decodes the answer of `node`. @throws {WhorlError} `protocol_error`. */
  readonly read: (answer: unknown, node: string) => Answer;
  /**
   * Whether a failure is final, so that no other member is asked.
   *
   * @default {none is}
   */
  readonly isFinal?: (error: WhorlError) => boolean;
}

/** Asks questions; see the module comment. */
export class MemberQuestions {
  readonly #world: MemberQuestionsWorld;

  constructor(world: MemberQuestionsWorld) {
    this.#world = world;
  }

  /** The member of `group` on this node. */
  memberHere(group: string): RaKvMember | undefined {
    return raKvMember(this.#world.system(), group);
  }

  /**
   * The member of `group` on this node, once its state is as recent as
   * everything acknowledged before.
   *
   * @throws {WhorlError} `unknown_cluster` without one, `not_leader` and the
   * like.
   */
  async confirmedHere(group: string): Promise<RaKvMember> {
    const member = this.memberHere(group);
    if (member === undefined) {
      throw new WhorlError(
        "unknown_cluster",
        `${this.#world.self} has no member of ${group}`,
      );
    }
    await confirmed(member);
    return member;
  }

  /**
   * @throws {WhorlError} `timeout` if none has answered in time, or a final
   * failure.
   */
  async ask<Answer>(question: MemberQuestion<Answer>): Promise<Answer> {
    const { self, runtime, isUp, find } = this.#world;
    const { group, owners, partition, deadlineMs, isFinal } = question;
    let last: unknown;
    while (runtime.now() < deadlineMs) {
      const nodes = new Set([
        ...(this.memberHere(group) === undefined ? [] : [self]),
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
            return await this.#askNode(node, question, timeLeftMs);
          } catch (error) {
            if (!isWhorlError(error) || isFinal?.(error)) throw error;
            last = error;
          }
        }
      }
      await this.#pause();
    }
    throw new WhorlError(
      "timeout",
      `Cannot ${question.purpose} in time as no member of its ensemble has answered with a majority`,
      { details: { partition }, cause: last },
    );
  }

  async #askNode<Answer>(
    node: string,
    question: MemberQuestion<Answer>,
    timeLeftMs: number,
  ): Promise<Answer> {
    const { here, method, args, read } = question;
    const { answerTimeoutMs = ANSWER_TIMEOUT_MS } = question;
    const timeoutMs = Math.min(answerTimeoutMs, Math.ceil(timeLeftMs));
    if (node === this.#world.self) return await this.#inTime(here, timeoutMs);
    const answer = await this.#world.call(
      node,
      method,
      args,
      timeoutMs,
    );
    return read(answer, node);
  }

  async #inTime<Answer>(
    work: () => Promise<Answer>,
    timeoutMs: number,
  ): Promise<Answer> {
    const { runtime } = this.#world;
    const late = Promise.withResolvers<never>();
    const timer = runtime.setTimer(
      timeoutMs,
      () =>
        late.reject(
          new WhorlError("timeout", "The member here did not answer in time"),
        ),
    );
    try {
      return await Promise.race([work(), late.promise]);
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

/**
 * Resolves when the member's state is as recent as everything acknowledged
 * before.
 */
export function confirmed(member: RaKvMember): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  member.consistentRead({
    done: resolve,
    failed: (reason, leader) => reject(raftFailure(member, reason, leader)),
  });
  return promise;
}

/**
 * The field `name`, which is bytes.
 *
 * @throws {WhorlError} `invalid_argument`.
 */
export function bytesArgument(
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
