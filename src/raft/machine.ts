/**
 * The state machine that a Raft group replicates: an application implements
 * this interface, as `ra_kv` does. Every member applies the same commands once
 * each, in log order. So a machine must be deterministic: its result may depend
 * only on its state, the command and `ApplyMeta`.
 *
 * @module
 */

/** What is known about a command besides its bytes; the same on every member. */
export interface ApplyMeta {
  readonly index: number;
  readonly term: number;
  /** The leader's wall clock when it accepted the command, in milliseconds since 1970. */
  readonly timeMs: number;
  /** Version of the machine in force. */
  readonly machineVersion: number;
}

/**
 * What a machine asks for. The leader performs all effects, other members only
 * those marked "on every member". Effects may be performed twice.
 */
export type MachineEffect =
  /**
   * On every member: entries up to `index` that are not live are no longer
   * needed. The newest checkpoint up to there becomes a snapshot; without one,
   * a snapshot of the present state is taken.
   */
  | { readonly type: "release_cursor"; readonly index: number }
  /**
   * On every member: stores the state after this command, so that a restart
   * begins from it. All entries stay. At most every 16,384 entries
   * (`CHECKPOINT_ENTRIES_MIN`).
   */
  | { readonly type: "checkpoint" }
  /** On every member: sends `message` to listeners on this node, addressed to `to`. */
  | {
    readonly type: "notify";
    readonly to: number;
    readonly message: Uint8Array<ArrayBuffer>;
  }
  /**
   * Leader: proposes a command `afterMs` from now. A later timer of the same
   * `name` replaces it; `afterMs` undefined stops it. Lost when the leader
   * changes: see `enterRole`.
   */
  | {
    readonly type: "timer";
    readonly name: string;
    readonly afterMs: number | undefined;
    readonly command: Uint8Array<ArrayBuffer>;
  }
  /**
   * Leader: proposes a command when the connection to `node` is lost, or at
   * once if there is none; `undefined` stops that. Fires once, and is lost when
   * the leader changes.
   */
  | {
    readonly type: "monitor";
    readonly node: string;
    readonly command: Uint8Array<ArrayBuffer> | undefined;
  }
  /**
   * On every member: ends the group. Nothing that follows in the log is
   * applied, and each member is removed with all its data.
   */
  | { readonly type: "end" };

/** The result of a command. */
export interface Applied {
  /** For the proposer. */
  readonly reply: Uint8Array<ArrayBuffer> | undefined;
  readonly effects?: readonly MachineEffect[];
}

/** The state at one moment, for a snapshot taken while the state goes on changing. */
export interface MachineView {
  /**
   * What `encode` would have returned at that moment, or other bytes that
   * decode to the same. Iterated once, with other work between pieces: each
   * should be made when it is asked for, and about 100 KiB is a good size.
   */
  readonly pieces: Iterable<Uint8Array<ArrayBuffer>>;
  /** What `liveIndexes` would have returned at that moment. Iterated once, after all pieces. */
  readonly live: Iterable<number>;
  /** Releases the view; nothing more is read from it. */
  release(): void;
}

/** Decodes the output of `encode` piece by piece, with other work in between. */
export interface StateDecoder<State> {
  /**
   * Takes the next piece, which may be of any size and is not changed
   * afterwards. @throws {WhorlError} `protocol_error` if it is invalid.
   */
  add(piece: Uint8Array<ArrayBuffer>): void;
  /** The state, after the last piece. @throws {WhorlError} `protocol_error` if pieces are missing. */
  end(): State;
}

/** A replicated state machine; see the module comment. Its methods are never called concurrently. */
export interface RaftMachine<State = unknown> {
  /** Name of the kind of machine. */
  readonly name: string;
  /** The highest version that this code can run; begins at 0. */
  readonly version: number;
  init(): State;
  /** Applies a command; changes `state` in place. Must not throw for input a client can send: that is a reply. */
  apply(
    meta: ApplyMeta,
    command: Uint8Array<ArrayBuffer>,
    state: State,
  ): Applied;
  /**
   * Indexes of the entries whose commands are still needed after a snapshot has
   * replaced the log: they are kept on disk and sent along with snapshots. In
   * any order; iterated before the state changes.
   */
  liveIndexes?(state: State): Iterable<number>;
  /**
   * Encodes the whole state, for snapshots. The pieces are joined in order and
   * may be of any size. They are iterated at once, before the next command; see
   * `view`.
   */
  encode(state: State): Iterable<Uint8Array<ArrayBuffer>>;
  /**
   * A view of the present state, for a snapshot taken while commands continue:
   * for machines whose state is so large that `encode` would block the node.
   */
  view?(state: State): MachineView;
  /** @throws {WhorlError} `protocol_error` if they are not the output of `encode`. */
  decode(pieces: Iterable<Uint8Array<ArrayBuffer>>): State;
  /** The same piece by piece: for machines whose state is so large that `decode` would block the node. */
  decoder?(): StateDecoder<State>;
  /** The member has become leader or ceased to be: returns the timers and monitors to set up again. */
  enterRole?(leader: boolean, state: State): readonly MachineEffect[];
  /** Handles a request to this member alone, outside the log (`RaftMember.aux`). It may read `state` but not change it. */
  handleAux?(
    command: unknown,
    state: State,
  ): {
    readonly reply: unknown;
    readonly effects?: readonly MachineEffect[];
  };
  /** From here on, commands are applied as in version `to`. */
  upgrade?(from: number, to: number, state: State): void;
  /** A few facts for people. */
  overview?(state: State): Readonly<Record<string, unknown>>;
}
