/**
 * What a Raft group agrees about: an application implements this interface, as
 * `ra_kv` does. Commands come in the order of the log, once each, the same on
 * every member, so a machine must decide by nothing but its state, the command
 * and what `ApplyMeta` tells.
 *
 * @module
 */

/** What is known of a command besides its bytes; the same on every member. */
export interface ApplyMeta {
  readonly index: number;
  readonly term: number;
  /** The leader's wall clock when it took the command, in milliseconds since 1970. */
  readonly timeMs: number;
  /** Version of the machine in force. */
  readonly machineVersion: number;
}

/** What a machine wants done; a leader does all, the others only what is marked so. Effects may happen twice. */
export type MachineEffect =
  /** On every member: entries up to `index` that are not live are no longer needed. The newest checkpoint up to there becomes a snapshot; without one, one is taken of the present state. */
  | { readonly type: "release_cursor"; readonly index: number }
  /** On every member: the state as it is after this command is stored, so that a restart begins from it. All entries stay. At most every 16,384 entries (`CHECKPOINT_ENTRIES_MIN`). */
  | { readonly type: "checkpoint" }
  /** On every member: `message` to whoever on this node listens as `to`. */
  | {
    readonly type: "notify";
    readonly to: number;
    readonly message: Uint8Array<ArrayBuffer>;
  }
  /** Leader: a further command, `afterMs` from now. A later one of that `name` replaces it, also with `afterMs` undefined, which stops it. Gone when the leader changes: see `enterRole`. */
  | {
    readonly type: "timer";
    readonly name: string;
    readonly afterMs: number | undefined;
    readonly command: Uint8Array<ArrayBuffer>;
  }
  /** Leader: a further command when the connection to `node` is lost, or at once if it is; `undefined` stops that. Once, and gone when the leader changes. */
  | {
    readonly type: "monitor";
    readonly node: string;
    readonly command: Uint8Array<ArrayBuffer> | undefined;
  }
  /** On every member: the group is over. Nothing that follows in the log is applied, and each member goes with all it has stored. */
  | { readonly type: "end" };

/** What a command came to. */
export interface Applied {
  /** For who proposed it. */
  readonly reply: Uint8Array<ArrayBuffer> | undefined;
  readonly effects?: readonly MachineEffect[];
}

/** A state as it was at one moment, for a snapshot; the state changes meanwhile. */
export interface MachineView {
  /** What `encode` made at that moment, or other bytes that mean the same. Taken once, a piece at a time with other work in between: each should be made when it is taken, and some 100 KiB are a good size. */
  readonly pieces: Iterable<Uint8Array<ArrayBuffer>>;
  /** What `liveIndexes` told at that moment. Taken once, after all pieces. */
  readonly live: Iterable<number>;
  /** Nothing more of it is taken. */
  release(): void;
}

/** Reads what `encode` made, piece by piece, with other work in between. */
export interface StateDecoder<State> {
  /** Takes the next piece, which may be of any size and is not changed afterwards. @throws {WhorlError} `protocol_error` if it is wrong. */
  add(piece: Uint8Array<ArrayBuffer>): void;
  /** The state, when all pieces have been taken. @throws {WhorlError} `protocol_error` if some are missing. */
  end(): State;
}

/** A machine whose state lives in one member. Its methods are never called at the same time. */
export interface RaftMachine<State = unknown> {
  /** Name of the kind of machine. */
  readonly name: string;
  /** The highest version this code can run; 0 to begin with. */
  readonly version: number;
  init(): State;
  /** Takes a command; changes `state` in place. Must not throw for what a client may send: that is a reply. */
  apply(
    meta: ApplyMeta,
    command: Uint8Array<ArrayBuffer>,
    state: State,
  ): Applied;
  /** Indexes of the entries whose commands are still needed when a snapshot has taken the place of the log: kept on disk, sent along with snapshots. In any order; they are taken before the state changes. */
  liveIndexes?(state: State): Iterable<number>;
  /** The state as bytes, whole; called for snapshots. The pieces are joined in order, and may be of any size. They are taken at once, before the next command; see `view`. */
  encode(state: State): Iterable<Uint8Array<ArrayBuffer>>;
  /** The state as it is now, for a snapshot that is taken while commands go on: for machines with so much state that `encode` would keep others waiting. */
  view?(state: State): MachineView;
  /** @throws {WhorlError} `protocol_error` if they are not what `encode` made. */
  decode(pieces: Iterable<Uint8Array<ArrayBuffer>>): State;
  /** The same bit by bit: for machines with so much state that `decode` would keep others waiting. */
  decoder?(): StateDecoder<State>;
  /** The member has become leader, or is none any more: what timers and notifications must be begun anew. */
  enterRole?(leader: boolean, state: State): readonly MachineEffect[];
  /** Something asked of this member alone, beside the log (`RaftMember.aux`). It may look at `state` and not change it. */
  handleAux?(
    command: unknown,
    state: State,
  ): {
    readonly reply: unknown;
    readonly effects?: readonly MachineEffect[];
  };
  /** From here on commands are applied as by `to`. */
  upgrade?(from: number, to: number, state: State): void;
  /** Small facts for people. */
  overview?(state: State): Readonly<Record<string, unknown>>;
}
