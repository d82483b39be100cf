/**
 * How the members of a cluster change. A change is first only in the leader's
 * log, and is committed later, or never if the leader fails in between. So the
 * current leader is asked for the outcome until a majority has committed a
 * membership that shows it.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import {
  type ClusterQuestions,
  isPassing,
  MEMBERS_TIMEOUT_MS,
} from "./cluster_questions.ts";
import {
  choiceArgument,
  clusterArgument,
  nodeArgument,
} from "./method_arguments.ts";
import type {
  AddedKind,
  ClusterMembers,
  MemberChange,
  MemberPlace,
  RemovedMember,
} from "./ra_kv_protocol.ts";
import { raKvOutcomeUnknown } from "./unknown_outcome.ts";

/** Time in which a change of members must be committed, in milliseconds. */
export const CHANGE_TIMEOUT_MS = 30_000;

/** The outcome of a change of members. */
type ChangeOutcome =
  | { readonly type: "done"; readonly members: ClusterMembers }
  /** The members certainly did not change. */
  | { readonly type: "failed"; readonly error: unknown }
  | { readonly type: "unknown"; readonly error: WhorlError };

/** Changes members; see the module comment. */
export class MemberChanges {
  readonly #questions: ClusterQuestions;
  readonly #newNumber: () => number;

  /** @param newNumber A number from 1 to 2^48 - 1 that was never used. */
  constructor(questions: ClusterQuestions, newNumber: () => number) {
    this.#questions = questions;
    this.#newNumber = newNumber;
  }

  async add(args: unknown): Promise<ClusterMembers> {
    const cluster = clusterArgument(args);
    const node = nodeArgument(args);
    const kind = choiceArgument<AddedKind>(args, "kind", [
      "voter",
      "non_voter",
    ]);
    const before = await this.#questions.members(cluster);
    const existing = before.members.find((member) => member.node === node);
    const place = await this.#questions.ask(node, "ra_kv_locate", { cluster });
    // A member that cannot start counts as lost, and may be added anew.
    const fails = typeof place.failure === "string";
    if (existing !== undefined && place.uid === existing.uid && !fails) {
      throw new WhorlError(
        "already_member",
        `Cannot add ${node} to ${cluster} as it is already a member`,
        { details: { cluster, node } },
      );
    }
    const { groupId } = await this.#questions.ask(
      before.leader,
      "ra_kv_locate",
      { cluster },
    );
    if (place.uid !== 0) await this.#clear(cluster, node, place, groupId);
    const uid = this.#newNumber();
    const takeBack = () =>
      this.#questions.drop(cluster, node, uid).catch(() => {
        // Unreachable: a member that nobody knows does no harm.
      });
    try {
      await this.#questions.ask(node, "ra_kv_create_member", {
        cluster,
        groupId,
        uid,
        initial: before.members.filter((member) => member.node !== node),
      });
    } catch (error) {
      await takeBack();
      throw error;
    }
    const outcome = await this.#change(
      before,
      {
        type: "add",
        node,
        uid,
        kind: kind === "voter" ? "promotable" : kind,
      },
      ({ members }) => members.some((member) => member.uid === uid),
    );
    if (outcome.type === "failed") {
      await takeBack();
      throw outcome.error;
    }
    // If the outcome is unknown the member stays, because it is needed if the
    // change is committed.
    if (outcome.type === "unknown") throw outcome.error;
    await this.#requireThere(cluster, node, uid);
    return outcome.members;
  }

  /**
   * @throws {WhorlError} `cluster_change_not_permitted` if another attempt took
   * the new member for the leftover of an earlier one, and removed it.
   */
  async #requireThere(
    cluster: string,
    node: string,
    uid: number,
  ): Promise<void> {
    const place = await this.#questions.ask(node, "ra_kv_locate", { cluster })
      .catch(() => undefined);
    if (place === undefined || place.uid === uid) return;
    throw new WhorlError(
      "cluster_change_not_permitted",
      `Cannot tell whether ${node} is a member of ${cluster} as another call added it at the same time: ask again`,
      { details: { cluster, node } },
    );
  }

  /**
   * Removes from `node` what an earlier attempt, an earlier membership or a
   * deleted cluster left there.
   */
  async #clear(
    cluster: string,
    node: string,
    place: MemberPlace,
    groupId: number,
  ): Promise<void> {
    if (place.groupId === groupId) {
      await this.#questions.drop(cluster, node, place.uid);
    } else if (
      !await this.#questions.clearDeleted(cluster, node, place.groupId)
    ) {
      throw new WhorlError(
        "already_exists",
        `Cannot add ${node} to ${cluster} as it has a member of another cluster of that name: delete that one by force, naming the node`,
        { details: { cluster, node } },
      );
    }
  }

  async remove(args: unknown): Promise<RemovedMember> {
    const cluster = clusterArgument(args);
    const node = nodeArgument(args);
    const before = await this.#questions.members(cluster);
    const member = before.members.find((member) => member.node === node);
    if (member === undefined) {
      throw new WhorlError(
        "not_member",
        `Cannot remove ${node} from ${cluster} as it is not a member`,
        { details: { cluster, node } },
      );
    }
    if (before.members.length === 1) {
      throw new WhorlError(
        "only_member",
        `Cannot remove ${node} from ${cluster} as it is the only member: delete the cluster instead`,
        { details: { cluster, node } },
      );
    }
    const outcome = await this.#change(
      before,
      { type: "remove", node },
      ({ members }) => members.every((other) => other.uid !== member.uid),
    );
    // The member still has all its data.
    if (outcome.type !== "done") throw outcome.error;
    const dropped = await this.#questions.drop(cluster, node, member.uid)
      .catch(() => false);
    return { cluster, node, dropped };
  }

  /** Changes the members, which are `before` now, and finds out the outcome. */
  async #change(
    before: ClusterMembers,
    change: MemberChange,
    isDone: (members: ClusterMembers) => boolean,
  ): Promise<ChangeOutcome> {
    const { cluster } = before;
    const deadlineAt = this.#questions.now() + CHANGE_TIMEOUT_MS;
    let { term } = before;
    let doubt: unknown;
    try {
      ({ term } = await this.#questions.atLeader(
        cluster,
        this.#questions.now() + MEMBERS_TIMEOUT_MS,
        (leader, timeoutMs) =>
          this.#questions.ask(
            leader,
            "ra_kv_change_members",
            { cluster, ...change },
            timeoutMs,
          ),
        false,
      ));
    } catch (error) {
      if (!raKvOutcomeUnknown(error)) return { type: "failed", error };
      doubt = error;
    }
    for (let attempt = 0; this.#questions.now() < deadlineAt; attempt++) {
      let members: ClusterMembers;
      try {
        members = await this.#questions.members(cluster, deadlineAt);
      } catch (error) {
        doubt = error;
        break;
      }
      if (members.committed && isDone(members)) {
        return { type: "done", members };
      }
      // A committed entry of a later term shows that the change is lost: a
      // majority follows that leader (paper, 5.4.2).
      if (members.committed && members.term > term) {
        const error = doubt ?? new WhorlError(
          "leader_lost",
          `Cannot change the members of ${cluster} as its leader was lost before they agreed`,
          { details: { cluster } },
        );
        return { type: "failed", error };
      }
      await this.#questions.pause(attempt);
    }
    return {
      type: "unknown",
      error: new WhorlError(
        "timeout",
        `Cannot tell whether the members of ${cluster} have changed: no majority has agreed in ${CHANGE_TIMEOUT_MS} ms`,
        { details: { cluster, outcomeUnknown: true }, cause: doubt },
      ),
    };
  }

  async transfer(args: unknown): Promise<ClusterMembers> {
    const cluster = clusterArgument(args);
    const to = nodeArgument(args, "to");
    await this.#questions.atLeader(
      cluster,
      this.#questions.now() + MEMBERS_TIMEOUT_MS,
      (leader, timeoutMs) =>
        this.#questions.ask(
          leader,
          "ra_kv_transfer_here",
          { cluster, to },
          timeoutMs,
        ),
      false,
    );
    return await this.#questions.members(cluster);
  }

  async forceShrink(args: unknown): Promise<ClusterMembers> {
    const cluster = clusterArgument(args);
    const node = nodeArgument(args);
    await this.#questions.ask(node, "ra_kv_force_shrink_here", { cluster });
    const deadlineAt = this.#questions.now() + MEMBERS_TIMEOUT_MS;
    for (let attempt = 0;; attempt++) {
      try {
        return await this.#questions.ask(node, "ra_kv_members_here", {
          cluster,
        });
      } catch (error) {
        // It leads as soon as it has voted for itself.
        if (!isPassing(error, true) || this.#questions.now() > deadlineAt) {
          throw error;
        }
      }
      await this.#questions.pause(attempt);
    }
  }
}
