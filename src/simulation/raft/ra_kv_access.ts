/**
 * Puts, gets and deletes of `ra_kv` through the member on one node.
 *
 * @module
 */
import { ByteReader } from "../../base/byte_reader.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import { WhorlError } from "../../base/errors.ts";
import {
  type ChangeView,
  emptyChange,
  RaKvOp,
  readReply,
  visitChanges,
  writeDeleteChange,
  writePutChange,
} from "../../ra_kv/ra_kv_command_codec.ts";
import { lookUp, type RaKvState } from "../../ra_kv/ra_kv_machine.ts";
import { readValue, valueHash } from "../../ra_kv/ra_kv_value.ts";
import { ENTRY_HEADER_BYTES, type RaftEntry } from "../../raft/raft_entry.ts";
import { raftFailure } from "../../raft/raft_failure.ts";
import type {
  AppliedCommand,
  RaftMember,
  RaftSystem,
  RaftTarget,
} from "../../raft/raft_member.ts";

/** What a get found. */
export interface RaKvFound {
  /** `null` if there is nothing. */
  readonly value: string | null;
  /** Index of the key's entry, 0 for none. */
  readonly index: number;
}

const encoder = new TextEncoder();

/** One member, as a client inside its node uses it. */
export class RaKvAccess {
  readonly #member: RaftMember<RaKvState>;

  /** @throws {WhorlError} `unknown_cluster` if the node has no member of `group`. */
  constructor(system: RaftSystem | undefined, group: string) {
    const member = system?.member(group);
    if (member === undefined) {
      throw new WhorlError(
        "unknown_cluster",
        `This node has no member of ${group}`,
      );
    }
    this.#member = member as RaftMember<RaKvState>;
  }

  /** Puts a value; whether the condition held. */
  put(key: string, value: string, ifIndex?: number): Promise<boolean> {
    return this.#change((into) => {
      into.u8(RaKvOp.put);
      writePutChange(into, key, value, { ifIndex });
    });
  }

  /** Deletes a key; whether it was there and the condition held. */
  delete(key: string, ifIndex?: number): Promise<boolean> {
    return this.#change((into) => {
      into.u8(RaKvOp.delete);
      writeDeleteChange(into, key, ifIndex);
    });
  }

  async #change(write: (into: ByteWriter) => void): Promise<boolean> {
    const into = new ByteWriter(64);
    write(into);
    const { reply } = await this.#told<AppliedCommand>((target) =>
      this.#member.propose(into.view(), target)
    );
    if (reply === undefined) throw new Error("A command has no reply");
    const said = readReply(new ByteReader(reply));
    if (said.type === "refused") {
      throw new Error(`A good command was refused: ${said.reason}`);
    }
    return said.type === "done";
  }

  /** Reads a key, as new as whatever was acknowledged before. */
  async get(key: string): Promise<RaKvFound> {
    await this.#told<void>((target) => this.#member.consistentRead(target));
    const bytes = encoder.encode(key);
    const { state, log } = this.#member;
    const record = lookUp(state, bytes, 0, bytes.length);
    if (record < 0) return { value: null, index: 0 };
    const index = state.keys.indexOf(record);
    const hash = state.keys.valueHashOf(record);
    const entry = (await log.read([index])).get(index);
    if (entry === undefined) {
      throw new WhorlError(
        "compacted",
        `The entry ${index} of a key that was looked up is gone`,
      );
    }
    return { value: valueIn(entry, key, hash), index };
  }

  #told<Result>(begin: (target: RaftTarget<Result>) => void): Promise<Result> {
    return new Promise((resolve, reject) =>
      begin({
        done: resolve,
        failed: (reason, leader) =>
          reject(raftFailure(this.#member, reason, leader)),
      })
    );
  }
}

/** The value of `key` in the entry that put it there. @throws {Error} If it is not there, or is another. */
function valueIn(entry: RaftEntry, key: string, hash: number): string {
  const from = new ByteReader(entry.body, ENTRY_HEADER_BYTES);
  let value: string | undefined;
  visitChanges(from, emptyChange(), (change: ChangeView) => {
    const { bytes } = from;
    const name = new TextDecoder().decode(
      bytes.subarray(change.keyStart, change.keyEnd),
    );
    if (name !== key || change.op !== RaKvOp.put) return;
    const stored = bytes.subarray(change.valueStart, change.valueEnd);
    if (valueHash(stored) !== hash) {
      throw new Error(`The value of ${key} in entry ${entry.index} is another`);
    }
    value = readValue(stored) as string;
  });
  if (value === undefined) {
    throw new Error(`Entry ${entry.index} does not put ${key}`);
  }
  return value;
}
