/**
 * Who waits for what was asked of a member besides commands and reads: changes
 * of the members, and transfers of leadership.
 *
 * @module
 */
import type { RaftFailure, RaftTarget } from "./raft_member.ts";

/** Where a change stands in the log. */
export interface ChangePlace {
  readonly index: number;
  readonly term: number;
}

/** The requests of one member. */
export class MemberRequests {
  #last = 0;
  readonly #changes = new Map<number, RaftTarget<ChangePlace>>();
  readonly #transfers = new Map<number, RaftTarget<void>>();

  /** A number for a change, whose end `target` waits for. */
  change(target: RaftTarget<ChangePlace>): number {
    this.#changes.set(++this.#last, target);
    return this.#last;
  }

  /** A number for a transfer. */
  transfer(target: RaftTarget<void>): number {
    this.#transfers.set(++this.#last, target);
    return this.#last;
  }

  /** The change is in the log. */
  begun(request: number, place: ChangePlace): void {
    const target = this.#changes.get(request);
    this.#changes.delete(request);
    target?.done(place);
  }

  /** Nothing comes of it. */
  refused(
    request: number,
    reason: RaftFailure,
    leader: string | undefined,
  ): void {
    const target = this.#changes.get(request) ?? this.#transfers.get(request);
    this.#changes.delete(request);
    this.#transfers.delete(request);
    target?.failed(reason, leader);
  }

  /** The target of the transfer leads, or never will. */
  transferEnded(
    request: number,
    ok: boolean,
    leader: string | undefined,
  ): void {
    const target = this.#transfers.get(request);
    this.#transfers.delete(request);
    if (ok) target?.done();
    else target?.failed("not_up_to_date", leader);
  }

  /** Takes back all who wait. */
  clear(): RaftTarget<never>[] {
    const waiting = [...this.#changes.values(), ...this.#transfers.values()];
    this.#changes.clear();
    this.#transfers.clear();
    return waiting;
  }
}
