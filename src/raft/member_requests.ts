/**
 * The requests that wait on one member: commands, reads, membership changes,
 * transfers of leadership. Each is answered once: by what the core decides
 * about it, by the end of the group, or when the member is closed. Requests
 * that come after that are refused at once.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { ProposalQueue } from "./proposal_queue.ts";
import type { MembershipChange, RaftEvent } from "./raft_events.ts";
import type {
  AppliedCommand,
  ProposeOptions,
  RaftFailure,
  RaftTarget,
} from "./raft_member.ts";
import { ReadQueue } from "./read_queue.ts";

/** The position of a change in the log. */
export interface ChangePlace {
  readonly index: number;
  readonly term: number;
}

/** What the requests need of their member. */
export interface RequestWorld {
  readonly group: string;
  readonly node: string;
  readonly runtime: Runtime;
  /** Milliseconds since 1970. */
  wallClock(): number;
  /** Whether the machine has ended the group. */
  isOver(): boolean;
  /** Whether the member leads. */
  leads(): boolean;
  /** The leader, if the member knows one. */
  leader(): string | undefined;
  appliedIndex(): number;
  /** Steps the core. */
  deliver(event: RaftEvent): void;
}

interface Waiter {
  resolve(): void;
  reject(error: WhorlError): void;
}

/** The requests of one member; see the module comment. */
export class MemberRequests {
  /** Commands on their way into the log, and until they are applied. */
  readonly proposals: ProposalQueue;
  /** Reads until they may be answered. */
  readonly reads: ReadQueue;
  readonly #world: RequestWorld;
  #last = 0;
  readonly #changes = new Map<number, RaftTarget<ChangePlace>>();
  readonly #transfers = new Map<number, RaftTarget<void>>();
  /** Those who wait for this member to lead. */
  #hopefuls: Waiter[] = [];
  #isClosed = false;

  constructor(world: RequestWorld) {
    this.#world = world;
    const { runtime } = world;
    this.proposals = new ProposalQueue({
      runtime,
      wallClock: () => world.wallClock(),
      propose: (proposals) => world.deliver({ type: "propose", proposals }),
    });
    this.reads = new ReadQueue({
      defer: (callback) => runtime.defer(callback),
      read: (round) => world.deliver({ type: "read", round }),
    });
  }

  /** As `RaftMember.propose`. */
  propose(
    command: Uint8Array,
    target: RaftTarget<AppliedCommand> | undefined,
    options?: ProposeOptions,
  ): void {
    const world = this.#world;
    // A closed member says the same: "closed" would leave open whether the
    // command was carried out.
    if (world.isOver()) target?.failed("deleted", undefined);
    else if (this.#isClosed) target?.failed("not_leader", undefined);
    else if (!world.leads()) target?.failed("not_leader", world.leader());
    else if (this.proposals.full) target?.failed("overload", world.node);
    else this.proposals.add(command, target, options);
  }

  /** As `RaftMember.consistentRead`. */
  read(target: RaftTarget<void>): void {
    if (this.#world.isOver()) target.failed("deleted", undefined);
    else if (this.#isClosed) target.failed("closed", undefined);
    else this.reads.add(target);
  }

  /** As `RaftMember.whenApplied`. */
  whenApplied(index: number, target: RaftTarget<void>): void {
    if (this.#world.isOver()) target.failed("deleted", undefined);
    else if (this.#isClosed) target.failed("closed", undefined);
    else this.reads.wait(index, target, this.#world.appliedIndex());
  }

  /** Asks the core for a membership change. */
  change(change: MembershipChange, target: RaftTarget<ChangePlace>): void {
    if (this.#isClosed) return target.failed("closed", undefined);
    const request = ++this.#last;
    this.#changes.set(request, target);
    this.#world.deliver({ type: "change_membership", request, change });
  }

  /** Asks the core for a transfer of leadership. */
  transfer(to: string, target: RaftTarget<void>): void {
    if (this.#isClosed) return target.failed("closed", undefined);
    const request = ++this.#last;
    this.#transfers.set(request, target);
    this.#world.deliver({ type: "transfer_leadership", request, to });
  }

  /** Resolves when the member leads. @throws {WhorlError} `closed`. */
  leading(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#isClosed) reject(this.#closedError());
    else if (this.#world.leads()) resolve();
    else this.#hopefuls.push({ resolve, reject });
    return promise;
  }

  /** The member leads now. */
  elected(): void {
    for (const { resolve } of this.#hopefuls.splice(0)) resolve();
  }

  /** The change has been appended to the log. */
  begun(request: number, place: ChangePlace): void {
    const target = this.#changes.get(request);
    this.#changes.delete(request);
    target?.done(place);
  }

  /** The core has refused a change or a transfer. */
  refused(request: number, reason: RaftFailure): void {
    const target = this.#changes.get(request) ?? this.#transfers.get(request);
    this.#changes.delete(request);
    this.#transfers.delete(request);
    target?.failed(reason, this.#world.leader());
  }

  /** The transfer has succeeded or failed. */
  transferEnded(request: number, ok: boolean): void {
    const target = this.#transfers.get(request);
    this.#transfers.delete(request);
    if (ok) target?.done();
    else target?.failed("not_up_to_date", this.#world.leader());
  }

  /** The group has ended: fails what waits, as it is void on every member. */
  over(): void {
    this.#failAll("deleted");
  }

  /** The member is closed: fails what waits, and all that comes. */
  close(): void {
    this.#isClosed = true;
    this.#failAll("closed");
    for (const { reject } of this.#hopefuls.splice(0)) {
      reject(this.#closedError());
    }
  }

  #failAll(reason: RaftFailure): void {
    const waiting: RaftTarget<never>[] = [
      ...this.proposals.clear(),
      ...this.reads.clear(),
      ...this.#changes.values(),
      ...this.#transfers.values(),
    ];
    this.#changes.clear();
    this.#transfers.clear();
    for (const target of waiting) target.failed(reason, undefined);
  }

  #closedError(): WhorlError {
    return new WhorlError(
      "closed",
      `The member of ${this.#world.group} on this node is stopping`,
    );
  }
}
