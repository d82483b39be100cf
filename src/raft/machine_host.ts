/**
 * Runs the machine of a member: applies committed entries one by one and
 * performs the machine's effects. Timers and monitors exist on the leader only;
 * they are dropped when it steps down, and a machine sets them up again in
 * `enterRole`.
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

/** What it needs. */
export interface MachineWorld {
  readonly runtime: Runtime;
  /** Whether this member leads. */
  leads(): boolean;
  /** Whether there is a connection to `node`. */
  isUp(node: string): boolean;
  /**
   * Proposes a command from the machine.
   *
   * @param refused Called if this member leads but accepts nothing now, as
   * while it transfers leadership.
   */
  propose(command: Uint8Array<ArrayBuffer>, refused: () => void): void;
  /** Delivers the result of a command to its proposer. */
  applied(meta: ApplyMeta, reply: Uint8Array<ArrayBuffer> | undefined): void;
  /** The machine no longer needs entries up to `index`, except live ones. */
  release(index: number): void;
  /** The machine wants a checkpoint of its present state. */
  checkpoint(): void;
}

/** Delay until a refused command is proposed again, in milliseconds. */
export const PROPOSE_AGAIN_MS = 50;

/** Receives the notifications of a machine on this member. */
export type MachineListener = (
  to: number,
  message: Uint8Array<ArrayBuffer>,
) => void;

/** One member's machine; see the module comment. */
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
  /** Timers of refused commands that will be proposed again. */
  readonly #refused = new Set<TimerHandle>();
  readonly #listeners = new Set<MachineListener>();

  /**
   * @param point The snapshot or checkpoint that `state` comes from.
   * @param initial The members if there is neither.
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

  /** Index of the last applied entry. */
  get index(): number {
    return this.#index;
  }

  /** The machine version in force. */
  get version(): number {
    return this.#version;
  }

  /** Whether the machine has ended its group, so that what follows in the log is void. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Describes a snapshot of the present state. */
  get meta(): SnapshotMeta {
    return {
      index: this.#index,
      term: this.#term,
      membership: this.#membership,
      machineVersion: this.#version,
    };
  }

  /** A view of the present state, unaffected by entries applied later. Must be released. */
  view(): MachineView {
    const view = this.#machine.view?.(this.#state);
    if (view !== undefined) return view;
    const pieces = [...this.#machine.encode(this.#state)];
    const live = [...this.#machine.liveIndexes?.(this.#state) ?? []];
    return { pieces, live, release() {} };
  }

  /** A decoder for the state of another member. */
  decoder(): StateDecoder<State> {
    return decoderOf(this.#machine);
  }

  /** The indexes of entries that are live in a state. */
  liveIn(state: State): Iterable<number> {
    return this.#machine.liveIndexes?.(state) ?? [];
  }

  /** Replaces the state by another member's. */
  install(snapshot: SnapshotMeta, state: State): void {
    this.#state = state;
    this.#index = snapshot.index;
    this.#term = snapshot.term;
    this.#version = snapshot.machineVersion;
    this.#membership = snapshot.membership;
  }

  /** Applies the next entry. */
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

  /** Passes a request to this member's machine, outside the log. */
  aux(command: unknown): unknown {
    const answer = this.#machine.handleAux?.(command, this.#state);
    if (answer?.effects !== undefined) this.#perform(answer.effects);
    return answer?.reply;
  }

  /** The member has become leader or ceased to be. */
  roleChanged(leads: boolean): void {
    if (!leads) this.#forget();
    if (this.#isOver) return;
    const effects = this.#machine.enterRole?.(leads, this.#state);
    if (effects !== undefined) this.#perform(effects);
  }

  /** The connection to `node` is lost. */
  nodeLost(node: string): void {
    const command = this.#monitors.get(node);
    if (command === undefined) return;
    this.#monitors.delete(node);
    this.#propose(command);
  }

  /**
   * Retries until the command is accepted or another member leads, whose
   * machine starts over: no other member knows of the command.
   */
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

  /** Calls `listener` for each `notify`; returns a function that unsubscribes it. */
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
    // A connection lost before is not reported again.
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

  /** Stops timers and monitors and drops the listeners. */
  close(): void {
    this.#forget();
    this.#listeners.clear();
  }
}

/** A decoder for states of `machine`; decodes everything at the end if the machine has no decoder. */
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
