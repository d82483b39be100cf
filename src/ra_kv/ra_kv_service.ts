/**
 * Carries out operations at a member of a cluster on this node.
 * `ra_kv_router.ts` chooses the member, and decides what happens if it does not
 * lead.
 *
 *     write   propose ──► applied ──► answer
 *     get     a read index that a majority confirms ──► look the key up in the
 *             state ──► read the entry from the log ──► compare hashes ──► answer
 *
 * Between the look-up and the read the entry may disappear, if the key is
 * overwritten and a snapshot and a compaction follow. Then the state knows
 * where the new value is, so the read starts over, up to three attempts.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { briefCopyOf } from "../base/byte_slab.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { raftFailure } from "../raft/raft_failure.ts";
import type { Membership, RaftEntry } from "../raft/raft_entry.ts";
import type {
  AppliedCommand,
  RaftFailure,
  RaftMember,
  RaftTarget,
} from "../raft/raft_member.ts";
import { checkCommand, valueInEntry } from "./entry_values.ts";
import {
  type GetBody,
  GetFlag,
  writeGetAnswer,
  writeGroupNames,
  writeWriteAnswer,
} from "./ra_kv_codec.ts";
import { readReply } from "./ra_kv_command_codec.ts";
import { lookUp, type RaKvState, versionOf } from "./ra_kv_machine.ts";
import { isOpen, type Seal } from "./succession.ts";

/** Most attempts of a read whose entry disappears. */
const READ_ATTEMPTS_MAX = 3;

const EMPTY = new Uint8Array(0);
const replies = new ByteReader(EMPTY);
/**
 * Answers are written here and then copied into a slab: allocating memory for
 * each would cost more than everything else.
 */
const scratch = new ByteWriter(4_096);
const SCRATCH_VALUE_BYTES_MAX = 2_048;

/** A member of a cluster of `ra_kv`. */
export type RaKvMember = RaftMember<RaKvState>;

/** Receives the outcome of an operation, once. */
export interface RaKvTarget {
  /** The encoded answer, whose bytes the target may keep; undefined if there is nothing. */
  answered(object: Uint8Array<ArrayBuffer> | undefined): void;
  failed(error: WhorlError): void;
}

/**
 * Proposes `command`, which is copied.
 *
 * @throws {WhorlError} `value_corrupt`, `protocol_error`, `invalid_key`:
 * nothing was proposed.
 */
export function write(
  member: RaKvMember,
  command: Uint8Array,
  target: RaKvTarget,
): void {
  checkCommand(command);
  // Checked here first, so that refused commands do not fill the log. The state
  // of a member that does not lead may be old, so it only says who leads.
  const unserved = member.role === "leader"
    ? unservedFailure(member)
    : undefined;
  if (unserved !== undefined) return target.failed(unserved);
  member.propose(command, new WriteTarget(member, target));
}

class WriteTarget implements RaftTarget<AppliedCommand> {
  constructor(
    readonly member: RaKvMember,
    readonly target: RaKvTarget,
  ) {}

  done({ meta, reply }: AppliedCommand): void {
    const leader = this.member.node;
    replies.reset(reply ?? EMPTY, 0, reply?.length ?? 0);
    const outcome = readReply(replies);
    const cluster = this.member.group;
    switch (outcome.type) {
      case "done": {
        scratch.clear();
        const { base } = this.member.state.succession;
        writeWriteAnswer(
          scratch,
          base === 0 ? meta : { ...meta, index: base + meta.index },
          leader,
        );
        return this.target.answered(
          briefCopyOf(scratch.bytes, 0, scratch.length),
        );
      }
      case "not_found":
        return this.target.failed(
          new WhorlError(
            "not_found",
            `Cannot delete a key of ${cluster} that does not exist`,
            { details: { cluster, leader, index: meta.index } },
          ),
        );
      case "index_mismatch": {
        const { index, place } = outcome;
        return this.target.failed(
          new WhorlError(
            "index_mismatch",
            index === 0
              ? `Cannot change a key of ${cluster} as it does not exist`
              : `Cannot change a key of ${cluster} as it was changed since: its index is ${index}`,
            { details: { cluster, leader, index, place } },
          ),
        );
      }
      case "refused":
        return this.target.failed(
          new WhorlError("invalid_argument", outcome.reason, {
            details: { cluster, leader },
          }),
        );
      case "moved":
        return this.target.failed(movedFailure(this.member, outcome));
      case "not_open":
        return this.target.failed(notOpenFailure(this.member));
      default:
        return outcome satisfies never;
    }
  }

  failed(reason: RaftFailure, leader: string | undefined): void {
    this.target.failed(raftFailure(this.member, reason, leader));
  }
}

/** The keys of a group have moved to groups of another ring. */
function movedFailure(
  { group, node }: RaKvMember,
  { generation, size }: Pick<Seal, "generation" | "size">,
): WhorlError {
  return new WhorlError(
    "moved",
    `The keys of ${group} have moved to the groups of a ring of ${size} partitions`,
    { details: { cluster: group, node, generation, size } },
  );
}

/** A group does not have all its keys yet. */
function notOpenFailure({ group, node }: RaKvMember): WhorlError {
  return new WhorlError(
    "not_open",
    `${group} is taking over from the groups of a ring of another size`,
    { details: { cluster: group, node } },
  );
}

/**
 * Why `member` does not serve its keys; undefined if it does. Its state must
 * include every acknowledged write.
 */
export function unservedFailure(member: RaKvMember): WhorlError | undefined {
  const { succession } = member.state;
  if (isOpen(succession)) return undefined;
  return succession.seal === undefined
    ? notOpenFailure(member)
    : movedFailure(member, succession.seal);
}

/** Reads a key; `body` must not change until `target` is answered. */
export function get(
  member: RaKvMember,
  body: GetBody,
  target: RaKvTarget,
): void {
  const stale = (body.flags & GetFlag.stale) !== 0;
  new Reading(member, body.key, stale, target).begin();
}

/** The state's metadata of a value that is being read. */
interface KnownValue {
  readonly version: number;
  readonly hash: number;
  readonly expiresAtMs: number;
}

class Reading implements RaftTarget<void> {
  #attempts = 0;

  constructor(
    readonly member: RaKvMember,
    readonly key: Uint8Array,
    readonly stale: boolean,
    readonly target: RaKvTarget,
  ) {}

  begin(): void {
    if (this.stale) this.done();
    else this.member.consistentRead(this);
  }

  done(): void {
    const { member, key } = this;
    const { state } = member;
    const unserved = unservedFailure(member);
    if (unserved !== undefined) return this.target.failed(unserved);
    const record = lookUp(state, key, 0, key.length);
    if (record < 0) return this.#answer(undefined, EMPTY, undefined);
    this.#attempts++;
    const index = state.keys.indexOf(record);
    const known = {
      version: versionOf(state, record),
      hash: state.keys.valueHashOf(record),
      expiresAtMs: state.keys.expiryOf(record),
    };
    const entry = member.log.entryInMemory(index);
    if (entry !== undefined) return this.#found(entry, known);
    this.#fetch(index, known);
  }

  failed(reason: RaftFailure, leader: string | undefined): void {
    this.target.failed(raftFailure(this.member, reason, leader));
  }

  async #fetch(index: number, known: KnownValue): Promise<void> {
    const { member, target } = this;
    let entry: RaftEntry | undefined;
    try {
      entry = (await member.log.read([index])).get(index);
    } catch (error) {
      return target.failed(asWhorlError(error));
    }
    if (entry !== undefined) return this.#found(entry, known);
    if (this.#attempts < READ_ATTEMPTS_MAX) return this.begin();
    target.failed(
      new WhorlError(
        "compacted",
        `Cannot read a key of ${member.group} as its value was replaced ${READ_ATTEMPTS_MAX} times in the meantime, or is lost`,
        { details: { cluster: member.group, node: member.node, index } },
      ),
    );
  }

  #found(entry: RaftEntry, known: KnownValue): void {
    let value: Uint8Array;
    try {
      value = valueInEntry(entry, this.key, known.hash);
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      return this.target.failed(error);
    }
    this.#answer(entry, value, known);
  }

  #answer(
    entry: RaftEntry | undefined,
    value: Uint8Array,
    known: KnownValue | undefined,
  ): void {
    const group = groupNames(this.member);
    // Large values are not copied twice.
    const into = value.length > SCRATCH_VALUE_BYTES_MAX
      ? new ByteWriter(21 + group.length + value.length)
      : scratch;
    if (into === scratch) into.clear();
    writeGetAnswer(into, {
      found: entry !== undefined,
      index: known?.version ?? 0,
      term: entry?.term ?? 0,
      expiresAtMs: known?.expiresAtMs ?? 0,
      group,
      value,
    });
    this.target.answered(
      into === scratch ? briefCopyOf(into.bytes, 0, into.length) : into.view(),
    );
  }
}

/** The encoded names of a group, which hardly ever change. */
interface NamesMade {
  readonly membership: Membership;
  readonly leader: string | undefined;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const namesMade = new WeakMap<RaKvMember, NamesMade>();

function groupNames(member: RaKvMember): Uint8Array<ArrayBuffer> {
  const { membership, leader } = member;
  const made = namesMade.get(member);
  if (made?.membership === membership && made.leader === leader) {
    return made.bytes;
  }
  const into = new ByteWriter(128);
  const members = membership.members.map(({ node }) => node);
  writeGroupNames(into, { leader, members });
  const bytes = into.copy();
  namesMade.set(member, { membership, leader, bytes });
  return bytes;
}

/** Reads the entry at `index` from the log of the member, whatever its kind. */
export async function readEntry(
  member: RaKvMember,
  index: number,
  target: RaKvTarget,
): Promise<void> {
  let entry: RaftEntry | undefined;
  try {
    // An entry that is not committed may still be replaced.
    if (index <= member.commitIndex) {
      entry = (await member.log.read([index])).get(index);
    }
  } catch (error) {
    return target.failed(asWhorlError(error));
  }
  if (entry === undefined) return target.answered(undefined);
  const into = new ByteWriter(12 + entry.body.length);
  into.u48(entry.index);
  into.u48(entry.term);
  into.raw(entry.body);
  target.answered(into.copy());
}

/** @internal An error of the log as a `WhorlError`. */
export function asWhorlError(error: unknown): WhorlError {
  return isWhorlError(error)
    ? error
    : new WhorlError("internal", reasonOf(error), { cause: error });
}
