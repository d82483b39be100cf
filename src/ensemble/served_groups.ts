/**
 * Whether a group may have served somebody: it has taken over from others, or
 * has keys of its own.
 *
 * The applied state of a member does not show that while there is more in its
 * log. After a crash that may be all of it: the applied index is recorded only
 * now and then, and there may never be a leader again to tell it. So the
 * contents of its log count too, although not all of it need have been
 * committed.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { isWhorlError } from "../base/errors.ts";
import { RaKvOp, readImportHeader } from "../ra_kv/ra_kv_command_codec.ts";
import type { RaKvMember } from "../ra_kv/ra_kv_service.ts";
import { imported, shut, type Succession } from "../ra_kv/succession.ts";
import { readSources } from "../ra_kv/succession_codec.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  type RaftEntry,
} from "../raft/raft_entry.ts";

/** Most bytes of entries in memory while a log is read. */
const READ_BYTES_MAX = 1024 * 1024;

/** The parts of a member that this needs. */
export type ServedMember = Pick<
  RaKvMember,
  "group" | "uid" | "appliedIndex" | "state" | "log"
>;

/** The progress of a group. */
interface Service {
  succession: Succession;
  keyCount: number;
}

/** What was found in the log of a member. */
interface LogRead {
  readonly uid: number;
  /** Index and term of the last entry, which identify the entries before it. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly hasServed: boolean;
}

/** What the logs of a node's members show. */
export class ServedGroups {
  /** By group. */
  readonly #read = new Map<string, LogRead>();

  /**
   * Whether the group of `member` may have served; undefined if its log has to
   * be read first.
   */
  hasServed(member: ServedMember): boolean | undefined {
    const { group, uid, appliedIndex, log: { lastIndex, lastTerm } } = member;
    if (hasBegun(serviceOf(member))) return true;
    if (lastIndex <= appliedIndex) return false;
    const read = this.#read.get(group);
    return read?.uid === uid && read.lastIndex === lastIndex &&
        read.lastTerm === lastTerm
      ? read.hasServed
      : undefined;
  }

  /**
   * Reads what `member` has not applied.
   *
   * @throws {WhorlError} If the log cannot be read.
   */
  async read(member: ServedMember): Promise<void> {
    const { group, uid, appliedIndex, log } = member;
    const { lastIndex, lastTerm } = log;
    const service = serviceOf(member);
    for (let next = appliedIndex + 1; next <= lastIndex;) {
      const entries = await log.entries(next, lastIndex, READ_BYTES_MAX);
      // The end of the log was truncated meanwhile.
      if (entries.length === 0) return;
      for (const entry of entries) follow(service, entry);
      next += entries.length;
    }
    const hasServed = hasBegun(service);
    this.#read.set(group, { uid, lastIndex, lastTerm, hasServed });
  }

  /** Forgets the logs of all groups except these. */
  keep(groups: ReadonlySet<string>): void {
    for (const group of this.#read.keys()) {
      if (!groups.has(group)) this.#read.delete(group);
    }
  }
}

function serviceOf({ state }: ServedMember): Service {
  return { succession: state.succession, keyCount: state.keys.size };
}

function hasBegun({ succession, keyCount }: Service): boolean {
  return succession.isComplete &&
    (succession.sources.size > 0 || keyCount > 0);
}

/**
 * Applies an entry to `service` as the machine will, or further: what the
 * machine would refuse because of a condition counts as done.
 */
function follow(service: Service, { term, body }: RaftEntry): void {
  if (body[0] !== EntryKind.command) return;
  const from = new ByteReader(body, ENTRY_HEADER_BYTES);
  try {
    const { succession, keyCount } = service;
    const op = from.u8();
    let next: Succession | string = succession;
    if (op === RaKvOp.put || op === RaKvOp.batch) {
      if (succession.isComplete) service.keyCount++;
    } else if (op === RaKvOp.shut) {
      next = shut(succession, readSources(from), keyCount);
    } else if (op === RaKvOp.import) {
      next = imported(succession, readImportHeader(from), term);
    }
    if (typeof next !== "string") service.succession = next;
  } catch (error) {
    // The machine refuses it as well.
    if (!isWhorlError(error)) throw error;
  }
}
