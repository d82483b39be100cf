/**
 * Waiting requests to a member other than commands and reads: membership
 * changes and transfers of leadership.
 *
 * @module
 */
import type { RaftFailure, RaftTarget } from "./raft_member.ts";

/** The position of a change in the log. */
export interface ChangePlace {
  readonly index: number;
  readonly term: number;
}

/** The requests of one member. */
export class MemberRequests {
  #last = 0;
  readonly #changes = new Map<number, RaftTarget<ChangePlace>>();
  readonly #transfers = new Map<number, RaftTarget<void>>();

  /** Registers a change and returns its number. */
  change(target: RaftTarget<ChangePlace>): number {
    this.#changes.set(++this.#last, target);
    return this.#last;
  }

  /** Registers a transfer and returns its number. */
  transfer(target: RaftTarget<void>): number {
    this.#transfers.set(++this.#last, target);
    return this.#last;
  }

  /** The change has been appended to the log. */
  begun(request: number, place: ChangePlace): void {
    const target = this.#changes.get(request);
    this.#changes.delete(request);
    target?.done(place);
  }

  /** The request was refused. */
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

  /** The transfer has succeeded or failed. */
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

  /** Removes and returns all waiting targets. */
  clear(): RaftTarget<never>[] {
    const waiting = [...this.#changes.values(), ...this.#transfers.values()];
    this.#changes.clear();
    this.#transfers.clear();
    return waiting;
  }
}
