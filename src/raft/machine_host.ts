/**
 * The machine of a member: gives it what is committed, one entry after the
 * other, and does what it wants done. Timers and watches over nodes are the
 * leader's; they are gone when it is that no more, and a machine begins them anew
 * in `enterRole`.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import {
  dataOfEntry,
  kindOfEntry,
  membershipOf,
  timeOfEntry,
} from "./entry_body.ts";
import type {
  ApplyMeta,
  MachineEffect,
  MachineView,
  RaftMachine,
  StateDecoder,
} from "./machine.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  type Membership,
  type RaftEntry,
  type SnapshotMeta,
} from "./raft_entry.ts";

/** What it stands on. */
export interface MachineWorld {
  readonly runtime: Runtime;
  /** Whether this member leads. */
  leads(): boolean;
  /** Whether there is a connection to `node`. */
  isUp(node: string): boolean;
  /**
   * Proposes a command of the machine's own.
   *
   * @param refused Called if this member leads and takes nothing now, as while it hands over the lead.
   */
  propose(command: Uint8Array<ArrayBuffer>, refused: () => void): void;
  /** What a command came to, for whoever proposed it. */
  applied(meta: ApplyMeta, reply: Uint8Array<ArrayBuffer> | undefined): void;
  /** The machine needs entries up to `index` no longer, but for those that are live. */
  release(index: number): void;
  /** The machine wants its state as it is now to be there after a restart. */
  checkpoint(): void;
}

/** Time after which a command that was refused is proposed again, in milliseconds. */
export const PROPOSE_AGAIN_MS = 50;

/** Hears what a machine tells on this member. */
export type MachineListener = (
  to: number,
  message: Uint8Array<ArrayBuffer>,
) => void;

/** One member's machine; see the module's text. */
export class MachineHost<State> {
  readonly #machine: RaftMachine<State>;
  readonly #world: MachineWorld;
  #state: State;
  #index: number;
  #term: number;
  #version: number;
  #membership: Membership;
  #isOver = false;
  readonly #timers = new Map<string, TimerHandle>();
  /** Commands to propose when a node is lost, by node. */
  readonly #monitors = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Of commands that are to be proposed again. */
  readonly #refused = new Set<TimerHandle>();
  readonly #listeners = new Set<MachineListener>();

  /**
   * @param point What `state` is of: a snapshot or a checkpoint.
   * @param initial The members where there is neither.
   */
  constructor(
    machine: RaftMachine<State>,
    state: State,
    point: SnapshotMeta | undefined,
    initial: Membership,
    world: MachineWorld,
  ) {
    this.#machine = machine;
    this.#world = world;
    this.#state = state;
    this.#index = point?.index ?? 0;
    this.#term = point?.term ?? 0;
    this.#version = point?.machineVersion ?? 0;
    this.#membership = point?.membership ?? initial;
  }

  /** The state as of {@linkcode MachineHost.index}. */
  get state(): State {
    return this.#state;
  }

  /** Index of the last entry it has seen. */
  get index(): number {
    return this.#index;
  }

  /** Version in force. */
  get version(): number {
    return this.#version;
  }

  /** Whether the machine has ended its group: what follows in the log is void. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What a snapshot of now stands for. */
  get meta(): SnapshotMeta {
    return {
      index: this.#index,
      term: this.#term,
      membership: this.#membership,
      machineVersion: this.#version,
    };
  }

  /** The state as it is now, whatever is applied while it is taken. To be released. */
  view(): MachineView {
    const view = this.#machine.view?.(this.#state);
    if (view !== undefined) return view;
    const pieces = [...this.#machine.encode(this.#state)];
    const live = [...this.#machine.liveIndexes?.(this.#state) ?? []];
    return { pieces, live, release() {} };
  }

  /** Reads a state of another member. */
  decoder(): StateDecoder<State> {
    return decoderOf(this.#machine);
  }

  /** Which entries are live in a state. */
  liveIn(state: State): Iterable<number> {
    return this.#machine.liveIndexes?.(state) ?? [];
  }

  /** Another member's state takes the place of this one's. */
  install(snapshot: SnapshotMeta, state: State): void {
    this.#state = state;
    this.#index = snapshot.index;
    this.#term = snapshot.term;
    this.#version = snapshot.machineVersion;
    this.#membership = snapshot.membership;
  }

  /** Gives it the entry that follows the last one. */
  apply(entry: RaftEntry): void {
    const { index, term, body } = entry;
    this.#index = index;
    this.#term = term;
    if (this.#isOver) return;
    switch (kindOfEntry(body)) {
      case EntryKind.command: {
        const meta: ApplyMeta = {
          index,
          term,
          timeMs: timeOfEntry(body),
          machineVersion: this.#version,
        };
        const { reply, effects } = this.#machine.apply(
          meta,
          dataOfEntry(body),
          this.#state,
        );
        if (effects !== undefined) this.#perform(effects);
        this.#world.applied(meta, reply);
        return;
      }
      case EntryKind.noop: {
        const version = new ByteReader(body, ENTRY_HEADER_BYTES).u16();
        if (version <= this.#version) return;
        this.#machine.upgrade?.(this.#version, version, this.#state);
        this.#version = version;
        return;
      }
      case EntryKind.membership:
        this.#membership = membershipOf(entry);
        return;
    }
  }

  /** Asks the machine something of this member alone, beside the log. */
  aux(command: unknown): unknown {
    const answer = this.#machine.handleAux?.(command, this.#state);
    if (answer?.effects !== undefined) this.#perform(answer.effects);
    return answer?.reply;
  }

  /** The member has become leader, or is none any more. */
  roleChanged(leads: boolean): void {
    if (!leads) this.#forget();
    if (this.#isOver) return;
    const effects = this.#machine.enterRole?.(leads, this.#state);
    if (effects !== undefined) this.#perform(effects);
  }

  /** `node` is lost. */
  nodeLost(node: string): void {
    const command = this.#monitors.get(node);
    if (command === undefined) return;
    this.#monitors.delete(node);
    this.#propose(command);
  }

  /** Nobody else knows of it, so it is proposed until it is taken or another member leads, which begins anew. */
  #propose(command: Uint8Array<ArrayBuffer>): void {
    this.#world.propose(command, () => {
      if (!this.#world.leads()) return;
      const again = this.#world.runtime.setTimer(PROPOSE_AGAIN_MS, () => {
        this.#refused.delete(again);
        this.#propose(command);
      });
      this.#refused.add(again);
    });
  }

  /** Calls `listener` for each `notify`, until the function it returns is called. */
  listen(listener: MachineListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #perform(effects: readonly MachineEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "release_cursor":
          this.#world.release(effect.index);
          break;
        case "checkpoint":
          this.#world.checkpoint();
          break;
        case "timer":
          this.#setTimer(effect.name, effect.afterMs, effect.command);
          break;
        case "monitor":
          this.#monitor(effect.node, effect.command);
          break;
        case "notify":
          for (const listener of this.#listeners) {
            listener(effect.to, effect.message);
          }
          break;
        case "end":
          this.#isOver = true;
          this.#forget();
          break;
        default:
          return effect satisfies never;
      }
    }
  }

  #setTimer(
    name: string,
    afterMs: number | undefined,
    command: Uint8Array<ArrayBuffer>,
  ): void {
    if (!this.#world.leads()) return;
    const { runtime } = this.#world;
    const before = this.#timers.get(name);
    if (before !== undefined) runtime.clearTimer(before);
    this.#timers.delete(name);
    if (afterMs === undefined) return;
    this.#timers.set(
      name,
      runtime.setTimer(afterMs, () => {
        this.#timers.delete(name);
        this.#propose(command);
      }),
    );
  }

  #monitor(node: string, command: Uint8Array<ArrayBuffer> | undefined): void {
    if (!this.#world.leads()) return;
    this.#monitors.delete(node);
    if (command === undefined) return;
    this.#monitors.set(node, command);
    // Nobody tells of a loss that was before.
    if (!this.#world.isUp(node)) this.nodeLost(node);
  }

  #forget(): void {
    for (const timer of [...this.#timers.values(), ...this.#refused]) {
      this.#world.runtime.clearTimer(timer);
    }
    this.#timers.clear();
    this.#refused.clear();
    this.#monitors.clear();
  }

  /** Nothing of it is done any more. */
  close(): void {
    this.#forget();
    this.#listeners.clear();
  }
}

/** Reads a state of `machine` piece by piece: all at the end, if that can do no better. */
export function decoderOf<State>(
  machine: RaftMachine<State>,
): StateDecoder<State> {
  const decoder = machine.decoder?.();
  if (decoder !== undefined) return decoder;
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  return {
    add: (piece) => void pieces.push(piece),
    end: () => machine.decode(pieces),
  };
}
