/**
 * The commands by which groups take over from each other, whose format
 * `ra_kv_command_codec.ts` describes, and the succession in a snapshot:
 *
 *     u48 base · u8 1 if it is sealed: u32 generation · u16 partitions · u48 index
 *     · u16 sources · per source: u16 partition · u48 up to · u48 sealed at
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  ChangeFlag,
  expectCommandEnd,
  type ImportHeader,
  RaKvOp,
} from "./ra_kv_command_codec.ts";
import {
  areComplete,
  type Seal,
  type SourceProgress,
  SOURCES_MAX,
  type Succession,
} from "./succession.ts";

/** The command that has a group take over from those of `sources`. */
export function shutCommand(
  sources: readonly number[],
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(3 + 2 * sources.length);
  into.u8(RaKvOp.shut);
  into.u16(sources.length);
  for (const source of sources) into.u16(source);
  return into.copy();
}

/** The sources in such a command, after its op. @throws {WhorlError} `protocol_error`. */
export function readSources(from: ByteReader): number[] {
  const sources: number[] = [];
  for (let left = from.u16(); left > 0; left--) sources.push(from.u16());
  expectCommandEnd(from);
  return sources;
}

/** The command that seals a group. */
export function sealCommand(
  { generation, size }: Pick<Seal, "generation" | "size">,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(7);
  into.u8(RaKvOp.seal);
  into.u32(generation);
  into.u16(size);
  return into.copy();
}

/** The state of a key in a source. */
export interface ImportedKey {
  readonly key: Uint8Array;
  /** Undefined if the key no longer exists. */
  readonly found: {
    readonly version: number;
    readonly hash: number;
    /** As stored. */
    readonly value: Uint8Array;
  } | undefined;
}

/**
 * The command that imports `keys`. It carries no expiry, because keys of
 * consistent buckets do not expire.
 */
export function importCommand(
  header: Omit<ImportHeader, "count">,
  keys: readonly ImportedKey[],
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(256);
  into.u8(RaKvOp.import);
  into.u48(header.term);
  into.u16(header.source);
  into.u48(header.upTo);
  into.u48(header.sealedAt);
  into.u16(keys.length);
  for (const { key, found } of keys) {
    into.u8(found === undefined ? RaKvOp.delete : RaKvOp.put);
    into.u8(found === undefined ? 0 : ChangeFlag.version);
    into.u16(key.length);
    into.raw(key);
    if (found === undefined) continue;
    into.u48(found.version);
    into.u32(found.hash);
    into.blob(found.value);
  }
  return into.copy();
}

/** Encodes a succession for a snapshot. */
export function successionBytes(
  { sources, base, seal }: Succession,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(32 + 14 * sources.size);
  into.u48(base);
  into.u8(seal === undefined ? 0 : 1);
  if (seal !== undefined) {
    into.u32(seal.generation);
    into.u16(seal.size);
    into.u48(seal.index);
  }
  into.u16(sources.size);
  for (const [partition, { upTo, sealedAt }] of sources) {
    into.u16(partition);
    into.u48(upTo);
    into.u48(sealedAt);
  }
  return into.copy();
}

/** Decodes the bytes made by {@linkcode successionBytes}. @throws {WhorlError} `protocol_error`. */
export function readSuccession(from: ByteReader): Succession {
  const base = from.u48();
  const isSealed = from.u8();
  if (isSealed > 1) throw refusal(`whether it is sealed is ${isSealed}`);
  const seal = isSealed === 0
    ? undefined
    : { generation: from.u32(), size: from.u16(), index: from.u48() };
  const count = from.u16();
  if (count > SOURCES_MAX) throw refusal(`it has ${count} sources`);
  const sources = new Map<number, SourceProgress>();
  for (let left = count; left > 0; left--) {
    sources.set(from.u16(), { upTo: from.u48(), sealedAt: from.u48() });
  }
  if (sources.size < count || from.remaining > 0) {
    throw refusal("its sources are not what was written");
  }
  return { sources, isComplete: areComplete(sources), base, seal };
}

function refusal(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read where the keys of a group come from: ${reason}`,
  );
}
