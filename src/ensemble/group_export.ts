/**
 * What a member of a group answers to groups that take over from it: which keys
 * it has at which versions, in order or as changed since an index, and their
 * values. Each answer is as recent as everything acknowledged before the
 * question, so that one member can continue where another one stopped.
 *
 *     keys     per key: u16 bytes · key · u48 version, 0 if it is gone
 *     values   per key: u16 bytes · key · u48 version, 0 if it is gone
 *              · if it is there: u32 hash · u32 bytes · value
 *
 * @module
 */
import { compareBytes } from "../base/byte_order.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { bytesToText } from "../base/byte_text.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { STORAGE_KEY_BYTES_MAX } from "../kv/key_limits.ts";
import { valueInEntry } from "../ra_kv/entry_values.ts";
import {
  fieldOf,
  numberArgument,
  optionalNumber,
} from "../ra_kv/method_arguments.ts";
import {
  hasExpired,
  lookUp,
  type RaKvState,
  versionOf,
} from "../ra_kv/ra_kv_machine.ts";
import type { ImportedKey } from "../ra_kv/succession_codec.ts";
import type { RaKvMember } from "../ra_kv/ra_kv_service.ts";
import { sealedVersion } from "../ra_kv/succession.ts";
import { vnodeGroup } from "./ensemble_names.ts";
import { FirstKeys } from "./first_keys.ts";
import { partitionOfKey } from "./group_sources.ts";
import { bytesArgument, type MemberQuestions } from "./member_questions.ts";

/** Bytes of keys in one answer, unless one entry has changed more: 64 KiB. */
export const EXPORT_KEYS_BYTES = 64 * 1024;
/** Bytes of values in one answer, unless one value is larger: 256 KiB. */
export const EXPORT_VALUES_BYTES: number = 256 * 1024;

/** A key, and its version in the group it is exported from. */
export interface KeyVersion {
  readonly key: Uint8Array;
  /** 0 if it no longer exists. */
  readonly version: number;
}

/** Keys of a group, for a group that takes over. */
export interface ExportedKeys {
  /** Packed; see the module comment. */
  readonly keys: Uint8Array;
  /** The last key examined, if there are more after it. */
  readonly last: Uint8Array | undefined;
  /** For changes since an index: whether there are more. */
  readonly isCut: boolean;
  /** Index up to which the answer is complete. */
  readonly at: number;
  /**
   * The version at which the group was sealed, if nothing will change any more;
   * else 0.
   */
  readonly sealedAt: number;
  /** Whether the changes since the given index have been forgotten. */
  readonly isForgotten: boolean;
}

/** Which part of a group is requested. */
export interface ExportQuestion {
  /** Keys of this partition in a ring of `size`. */
  readonly partition: number;
  readonly size: number;
  /** Only keys changed since this index; 0 for all. */
  readonly since: number;
  /** If all: only keys after this one. */
  readonly after: Uint8Array;
}

/** The keys that `question` asks for, from a state at `appliedIndex`. */
export function exportKeys(
  state: RaKvState,
  appliedIndex: number,
  question: ExportQuestion,
): ExportedKeys {
  const { seal } = state.succession;
  const sealedAt = sealedVersion(state.succession);
  const isMeant = (key: Uint8Array): boolean =>
    partitionOfKey(key, question.size) === question.partition;
  const into = new ByteWriter(1_024);
  const write = (key: Uint8Array): void => {
    if (!isMeant(key)) return;
    const record = lookUp(state, key, 0, key.length);
    into.u16(key.length);
    into.raw(key);
    into.u48(record < 0 ? 0 : versionOf(state, record));
  };
  if (question.since === 0) {
    const { keys, last } = keysBeyond(state, question.after);
    for (const key of keys) write(key);
    const at = seal === undefined ? appliedIndex : seal.index;
    const isForgotten = false;
    return { keys: into.copy(), last, isCut: false, at, sealedAt, isForgotten };
  }
  // After a seal no requested key changes, however little is remembered.
  const isLast = seal !== undefined && question.since >= seal.index;
  if (state.changes.floor > question.since && !isLast) {
    const keys = into.copy();
    const at = question.since;
    return {
      keys,
      last: undefined,
      isCut: false,
      at,
      sealedAt: 0,
      isForgotten: true,
    };
  }
  const since = Math.max(question.since, state.changes.floor);
  const { keys, until } = keysChanged(state, since);
  for (const key of keys) write(key);
  return {
    keys: into.copy(),
    last: undefined,
    isCut: until !== undefined,
    at: until ?? appliedIndex,
    sealedAt: until === undefined ? sealedAt : 0,
    isForgotten: false,
  };
}

/** The first keys after `after`, in order; `last` if there are more. */
function keysBeyond(
  state: RaKvState,
  after: Uint8Array,
): {
  readonly keys: readonly Uint8Array[];
  readonly last: Uint8Array | undefined;
} {
  const { keys: table } = state;
  const first = new FirstKeys(EXPORT_KEYS_BYTES, 8);
  for (let record = 0; record < table.recordEnd; record++) {
    if (!table.has(record) || hasExpired(state, record)) continue;
    const key = table.keyOf(record);
    if (after.length > 0 && compareBytes(key, after) <= 0) continue;
    first.add(key);
  }
  const { keys, isCut } = first.page();
  return { keys, last: isCut ? keys.at(-1)?.slice() : undefined };
}

/**
 * The keys changed since an index, each once; up to which index (`until`) if
 * there are more.
 */
function keysChanged(
  { changes }: RaKvState,
  since: number,
): {
  readonly keys: Iterable<Uint8Array>;
  readonly until: number | undefined;
} {
  const keys = new Map<string, Uint8Array>();
  let bytes = 0;
  let last = since;
  let until: number | undefined;
  changes.visitAfter(since, ({ index, bytes: from, start, end }) => {
    // Changes of one entry are never split.
    if (bytes > EXPORT_KEYS_BYTES && index !== last) {
      until = last;
      return false;
    }
    last = index;
    const text = bytesToText(from, start, end);
    if (keys.has(text)) return true;
    keys.set(text, from.slice(start, end));
    bytes += 8 + end - start;
    return true;
  });
  return { keys: keys.values(), until };
}

/** Decodes the keys of an answer. @throws {WhorlError} `protocol_error`. */
export function readKeyVersions(packed: Uint8Array): KeyVersion[] {
  const from = new ByteReader(packed);
  const keys: KeyVersion[] = [];
  while (from.remaining > 0) {
    keys.push({ key: from.raw(from.u16()), version: from.u48() });
  }
  return keys;
}

/** Encodes keys in a request for their values: as many as fit into one. */
export function packKeys(keys: readonly KeyVersion[]): Uint8Array {
  const into = new ByteWriter(1_024);
  for (const { key } of keys) {
    if (into.length + key.length > EXPORT_KEYS_BYTES) break;
    into.u16(key.length);
    into.raw(key);
  }
  return into.copy();
}

/** The first values of the keys in `packed`. */
async function exportValues(
  member: RaKvMember,
  packed: Uint8Array,
): Promise<Uint8Array> {
  const from = new ByteReader(packed);
  const into = new ByteWriter(EXPORT_VALUES_BYTES);
  do {
    const start = into.length;
    await writeValue(member, from.raw(from.u16()), into);
    const bytes = into.length - start;
    if (into.length + bytes > EXPORT_VALUES_BYTES) break;
  } while (from.remaining > 0);
  return into.copy();
}

async function writeValue(
  member: RaKvMember,
  key: Uint8Array,
  into: ByteWriter,
): Promise<void> {
  for (;;) {
    const { state, log } = member;
    const record = lookUp(state, key, 0, key.length);
    if (record < 0) {
      into.u16(key.length);
      into.raw(key);
      into.u48(0);
      return;
    }
    const version = versionOf(state, record);
    const index = state.keys.indexOf(record);
    const hash = state.keys.valueHashOf(record);
    const entry = log.entryInMemory(index) ??
      (await log.read([index])).get(index);
    // It was replaced meanwhile, and its entry removed.
    if (entry === undefined && hasChanged(member, key, version)) continue;
    if (entry === undefined) {
      throw new WhorlError(
        "compacted",
        `Cannot read a value of ${member.group} as its entry at ${index} is lost`,
      );
    }
    const value = valueInEntry(entry, key, hash);
    into.u16(key.length);
    into.raw(key);
    into.u48(version);
    into.u32(hash);
    into.blob(value);
    return;
  }
}

function hasChanged(
  { state }: RaKvMember,
  key: Uint8Array,
  version: number,
): boolean {
  const record = lookUp(state, key, 0, key.length);
  return record < 0 || versionOf(state, record) !== version;
}

/** Decodes the values of an answer. @throws {WhorlError} `protocol_error`. */
export function readValues(packed: Uint8Array): ImportedKey[] {
  const from = new ByteReader(packed);
  const keys: ImportedKey[] = [];
  while (from.remaining > 0) {
    const key = from.raw(from.u16());
    const version = from.u48();
    keys.push({
      key,
      found: version === 0
        ? undefined
        : { version, hash: from.u32(), value: from.blob() },
    });
  }
  return keys;
}

/** Answers for the members of a node; see the module comment. */
export class GroupExport {
  readonly #members: MemberQuestions;

  constructor(members: MemberQuestions) {
    this.#members = members;
  }

  /** @throws {WhorlError} `unknown_cluster` without a member here, `not_leader` and the like. */
  async keysHere(args: unknown): Promise<ExportedKeys> {
    const question = {
      partition: numberArgument(args, "partition"),
      size: numberArgument(args, "size", 1),
      since: optionalNumber(args, "since", 0),
      after: bytesArgument(args, "after", STORAGE_KEY_BYTES_MAX),
    };
    const group = vnodeGroup(numberArgument(args, "vnode"));
    const member = await this.#members.confirmedHere(group);
    return exportKeys(member.state, member.appliedIndex, question);
  }

  /** @throws {WhorlError} As {@linkcode GroupExport.keysHere}, `value_corrupt`. */
  async valuesHere(args: unknown): Promise<{ readonly values: Uint8Array }> {
    const keys = bytesArgument(args, "keys", 2 * EXPORT_KEYS_BYTES);
    const group = vnodeGroup(numberArgument(args, "vnode"));
    const member = await this.#members.confirmedHere(group);
    return { values: await exportValues(member, keys) };
  }
}

/** Decodes the answer of a node. @throws {WhorlError} `protocol_error`. */
export function readExportedKeys(answer: unknown): ExportedKeys {
  const keys = fieldOf(answer, "keys");
  const last = fieldOf(answer, "last");
  const at = fieldOf(answer, "at");
  const sealedAt = fieldOf(answer, "sealedAt");
  if (
    keys instanceof Uint8Array && Number.isSafeInteger(at) &&
    Number.isSafeInteger(sealedAt)
  ) {
    return {
      keys,
      last: last instanceof Uint8Array ? last : undefined,
      isCut: fieldOf(answer, "isCut") === true,
      at: at as number,
      sealedAt: sealedAt as number,
      isForgotten: fieldOf(answer, "isForgotten") === true,
    };
  }
  throw new WhorlError(
    "protocol_error",
    "Cannot read the keys of a group that a node has sent",
  );
}

/** Decodes the answer of a node. @throws {WhorlError} `protocol_error`. */
export function readExportedValues(answer: unknown): ImportedKey[] {
  const values = fieldOf(answer, "values");
  if (values instanceof Uint8Array) return readValues(values);
  throw new WhorlError(
    "protocol_error",
    "Cannot read the values of a group that a node has sent",
  );
}
