/**
 * Commands on their way into the log of a group, with the targets that wait for
 * their results. Commands of one turn of the event loop are proposed together;
 * those of low priority follow in small batches, so that they do not delay the
 * others.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { entryBody, timeOfEntry } from "./entry_body.ts";
import type { ApplyMeta } from "./machine.ts";
import { EntryKind, type RaftEntry } from "./raft_entry.ts";
import type { Proposal, RaftRefusal } from "./raft_events.ts";
import type {
  AppliedCommand,
  ProposeOptions,
  RaftTarget,
} from "./raft_member.ts";

/** Commands that may be queued or unapplied; further ones are refused. */
export const PENDING_MAX = 65_536;
/** Low-priority commands proposed at a time. Source: ra. */
export const LOW_PRIORITY_BATCH = 16;

/** A target that waits for a command. */
interface Waiting {
  readonly target: RaftTarget<AppliedCommand>;
  /** When the command counts as done. */
  readonly when: "appended" | "applied";
}

interface Pending {
  readonly term: number;
  readonly target: RaftTarget<AppliedCommand>;
}

interface Queued {
  readonly proposal: Proposal;
  readonly waiting: Waiting | undefined;
}

/** What it needs. */
export interface ProposalWorld {
  readonly runtime: Runtime;
  /** Milliseconds since 1970. */
  wallClock(): number;
  /** Hands proposals to the core. */
  propose(proposals: readonly Proposal[]): void;
}

/** The commands of one member; see the module comment. */
export class ProposalQueue {
  readonly #world: ProposalWorld;
  #proposals: Proposal[] = [];
  #waiting: (Waiting | undefined)[] = [];
  #low: Queued[] = [];
  #due = false;
  /** Targets of the proposals that the core is handling, in order. */
  #offered: (Waiting | undefined)[] = [];
  /** Targets that wait for an entry to be applied, by index. */
  readonly #pending = new Map<number, Pending>();

  constructor(world: ProposalWorld) {
    this.#world = world;
  }

  /** Whether the queue is full. */
  get full(): boolean {
    return this.#pending.size + this.#proposals.length + this.#low.length >=
      PENDING_MAX;
  }

  /** Queues a command, which is copied. */
  add(
    command: Uint8Array,
    target: RaftTarget<AppliedCommand> | undefined,
    { priority = "normal", reply = "applied" }: ProposeOptions = {},
  ): void {
    const timeMs = Math.max(0, Math.floor(this.#world.wallClock()));
    const proposal: Proposal = {
      kind: EntryKind.command,
      body: entryBody(EntryKind.command, timeMs, command),
    };
    const waiting = target && { target, when: reply };
    if (priority === "low") this.#low.push({ proposal, waiting });
    else {
      this.#proposals.push(proposal);
      this.#waiting.push(waiting);
    }
    if (this.#due) return;
    this.#due = true;
    this.#world.runtime.defer(this.#proposeAll);
  }

  readonly #proposeAll = (): void => {
    this.#due = false;
    for (
      const { proposal, waiting } of this.#low.splice(0, LOW_PRIORITY_BATCH)
    ) {
      this.#proposals.push(proposal);
      this.#waiting.push(waiting);
    }
    if (this.#low.length > 0) {
      this.#due = true;
      // Commands that come meanwhile overtake them.
      this.#world.runtime.setTimer(0, this.#proposeAll);
    }
    if (this.#proposals.length === 0) return;
    const proposals = this.#proposals;
    this.#proposals = [];
    this.#world.propose(proposals);
  };

  /** The core is about to handle the last proposals. */
  offer(): void {
    this.#offered = this.#waiting;
    this.#waiting = [];
  }

  /** The core has appended the proposals as `entries`; entries of the leader's own come when nothing is offered. */
  appended(entries: readonly RaftEntry[], machineVersion: number): void {
    if (this.#offered.length === 0) return;
    const offered = this.#offered;
    this.#offered = [];
    for (let i = 0; i < entries.length; i++) {
      const waiting = offered[i];
      if (waiting === undefined) continue;
      const { index, term, body } = entries[i] as RaftEntry;
      const { target, when } = waiting;
      if (when === "applied") this.#pending.set(index, { term, target });
      else {
        const timeMs = timeOfEntry(body);
        const meta = { index, term, timeMs, machineVersion };
        target.done({ meta, reply: undefined });
      }
    }
  }

  /** The core has refused the proposals. */
  refused(reason: RaftRefusal, leader: string | undefined): void {
    const offered = this.#offered;
    this.#offered = [];
    for (const waiting of offered) waiting?.target.failed(reason, leader);
  }

  /** An entry has been applied. */
  applied(
    meta: ApplyMeta,
    reply: Uint8Array<ArrayBuffer> | undefined,
    leader: string | undefined,
  ): void {
    if (this.#pending.size === 0) return;
    const pending = this.#pending.get(meta.index);
    if (pending === undefined) return;
    this.#pending.delete(meta.index);
    if (pending.term === meta.term) pending.target.done({ meta, reply });
    else pending.target.failed("leader_lost", leader);
  }

  /** The member no longer leads: the fate of pending commands is unknown here. */
  lost(leader: string | undefined): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { target } of pending) target.failed("leader_lost", leader);
  }

  /** Removes and returns all waiting targets; drops what was queued. */
  clear(): RaftTarget<AppliedCommand>[] {
    const waiting = [
      ...this.#offered,
      ...this.#waiting,
      ...this.#low.map((queued) => queued.waiting),
      ...this.#pending.values(),
    ].flatMap((each) => each === undefined ? [] : [each.target]);
    this.#proposals = [];
    this.#waiting = [];
    this.#offered = [];
    this.#low = [];
    this.#pending.clear();
    return waiting;
  }
}
