import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import {
  RaKvOp,
  type RaKvReply,
  readReply,
  writeDeleteChange,
  writePutChange,
} from "./ra_kv_command_codec.ts";
import {
  lookUp,
  raKvMachine,
  type RaKvState,
  stateDigest,
  stateOverview,
  versionOf,
} from "./ra_kv_machine.ts";
import { valueHash } from "./ra_kv_value.ts";
import { valueInEntry } from "./entry_values.ts";
import { EntryKind } from "../raft/raft_entry.ts";
import { entryBody } from "../raft/entry_body.ts";
import {
  isCopied,
  isOpen,
  sealedVersion,
  type Succession,
} from "./succession.ts";
import {
  importCommand,
  type ImportedKey,
  readSuccession,
  sealCommand,
  shutCommand,
  successionBytes,
} from "./succession_codec.ts";

const encoder = new TextEncoder();
const machine = raKvMachine({ hashSeed: 3 });
const TERM = 2;
const DONE: RaKvReply = { type: "done" };
const NOT_OPEN: RaKvReply = { type: "not_open" };

/** A group, and the log it has applied. */
class Group {
  state: RaKvState = machine.init();
  index = 0;

  apply(command: Uint8Array<ArrayBuffer>, term = TERM): RaKvReply {
    const { reply } = machine.apply(
      { index: ++this.index, term, timeMs: 1_000, machineVersion: 0 },
      command,
      this.state,
    );
    return readReply(new ByteReader(reply as Uint8Array));
  }

  put(key: string, ifIndex?: number): RaKvReply {
    const into = new ByteWriter();
    into.u8(RaKvOp.put);
    writePutChange(into, key, "v", { ifIndex });
    return this.apply(into.copy());
  }

  delete(key: string): RaKvReply {
    const into = new ByteWriter();
    into.u8(RaKvOp.delete);
    writeDeleteChange(into, key, undefined);
    return this.apply(into.copy());
  }

  /** Imports `keys` of `source`. */
  take(
    source: number,
    keys: readonly ImportedKey[],
    { upTo = 0, sealedAt = 0, term = TERM } = {},
  ): RaKvReply {
    return this.apply(importCommand({ term, source, upTo, sealedAt }, keys));
  }

  /** 0 if it does not exist. */
  versionOf(key: string): number {
    const bytes = encoder.encode(key);
    const record = lookUp(this.state, bytes, 0, bytes.length);
    return record < 0 ? 0 : versionOf(this.state, record);
  }

  /** The group on a member that was given a snapshot, in pieces of `pieceBytes`. */
  copy(pieceBytes: number): Group {
    const all = new ByteWriter();
    for (const piece of machine.encode(this.state)) all.raw(piece);
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for (let at = 0; at < all.length; at += pieceBytes) {
      pieces.push(all.copy().slice(at, at + pieceBytes));
    }
    const copy = new Group();
    copy.state = machine.decode(pieces);
    copy.index = this.index;
    return copy;
  }
}

function there(key: string, version: number, text = "v"): ImportedKey {
  const value = Uint8Array.of(1, ...encoder.encode(text));
  return {
    key: encoder.encode(key),
    found: { version, hash: valueHash(value), value },
  };
}

function gone(key: string): ImportedKey {
  return { key: encoder.encode(key), found: undefined };
}

Deno.test("a group that takes over serves nothing before everything from its last source is there", () => {
  const group = new Group();
  assertEquals(group.apply(shutCommand([3, 4])), DONE);
  assertEquals(group.put("a"), NOT_OPEN);
  assertEquals(group.delete("a"), NOT_OPEN);
  assertEquals(group.take(3, [there("a", 7)], { upTo: 9 }), DONE);
  assert(!isCopied(group.state.succession));
  assertEquals(group.take(4, [], { upTo: 2 }), DONE);
  assert(isCopied(group.state.succession));
  assertEquals(group.take(3, [], { upTo: 12, sealedAt: 12 }), DONE);
  assertEquals(group.put("a"), NOT_OPEN);
  assertEquals(group.take(4, [there("b", 30)], { sealedAt: 31 }), DONE);
  assert(isOpen(group.state.succession));
  assertEquals(group.put("c"), DONE);
});

Deno.test("a value keeps its version when it moves, and later ones are higher than all before", () => {
  const group = new Group();
  group.apply(shutCommand([0]));
  group.take(0, [there("a", 500), there("b", 41)], { sealedAt: 600 });
  assertEquals([group.versionOf("a"), group.versionOf("b")], [500, 41]);
  assertEquals(group.put("a", 499), {
    type: "index_mismatch",
    place: 0,
    index: 500,
  });
  assertEquals(group.put("a", 500), DONE);
  assertEquals(group.versionOf("a"), 600 + group.index);
  assertEquals(group.put("c", 0), DONE);
  assertEquals(group.put("b", 41), DONE);
  assertEquals(group.delete("b"), DONE);
  assertEquals(group.versionOf("b"), 0);
});

Deno.test("a sealed group tells where its keys are, and its versions end there", () => {
  const group = new Group();
  group.put("a");
  const seal = { generation: 2, size: 32 };
  assertEquals(group.apply(sealCommand(seal)), DONE);
  assertEquals(group.put("a"), { type: "moved", ...seal });
  assertEquals(group.delete("a"), { type: "moved", ...seal });
  assertEquals(sealedVersion(group.state.succession), 2);
  // Repeating it changes nothing; for another ring it is refused.
  assertEquals(group.apply(sealCommand(seal)), DONE);
  assertEquals(sealedVersion(group.state.succession), 2);
  assertEquals(
    group.apply(sealCommand({ generation: 3, size: 8 })).type,
    "refused",
  );
});

Deno.test("a group that has taken over continues its versions when it is sealed in turn", () => {
  const group = new Group();
  group.apply(shutCommand([0]));
  assertEquals(
    group.apply(sealCommand({ generation: 2, size: 8 })).type,
    "refused",
  );
  group.take(0, [], { sealedAt: 100 });
  group.apply(sealCommand({ generation: 2, size: 8 }));
  assertEquals(sealedVersion(group.state.succession), 100 + group.index);
});

Deno.test("an import does nothing if it was read in another term, has no such source or comes too late", () => {
  const group = new Group();
  group.apply(shutCommand([0, 1]));
  const late = group.take(0, [there("a", 5)], { upTo: 5, term: TERM - 1 });
  assertEquals(late.type, "refused");
  assertEquals(group.take(9, [there("a", 5)], { upTo: 5 }).type, "refused");
  assertEquals(group.state.keys.size, 0);
  group.take(0, [there("a", 5)], { sealedAt: 6 });
  assertEquals(group.take(0, [gone("a")], { upTo: 7 }).type, "refused");
  assertEquals(group.versionOf("a"), 5);
});

Deno.test("only an empty group can take over, and only once", () => {
  const served = new Group();
  served.put("a");
  assertEquals(served.apply(shutCommand([0])).type, "refused");
  const group = new Group();
  group.apply(shutCommand([0]));
  group.take(0, [], { sealedAt: 9 });
  assertEquals(group.apply(shutCommand([0])), DONE);
  assert(isOpen(group.state.succession));
});

Deno.test("an imported value is read from the entry that brought it", () => {
  const group = new Group();
  group.apply(shutCommand([0]));
  const keys = [there("a", 5, "one"), gone("b"), there("c", 6, "two")];
  const command = importCommand(
    { term: TERM, source: 0, upTo: 9, sealedAt: 0 },
    keys,
  );
  assertEquals(group.apply(command), DONE);
  const body = entryBody(EntryKind.command, 1_000, command);
  const entry = { index: group.index, term: TERM, body };
  for (const { key, found } of keys) {
    if (found === undefined) continue;
    assertEquals(valueInEntry(entry, key, found.hash), found.value);
  }
  assertEquals([...machine.liveIndexes!(group.state)], [group.index]);
  group.take(0, [gone("a"), gone("c")]);
  assertEquals([...machine.liveIndexes!(group.state)], []);
});

Deno.test("a snapshot of a group that takes over, or has moved, restores the group", () => {
  const group = new Group();
  group.apply(shutCommand([7, 5, 6]));
  group.take(7, [there("a", 500), there("b", 41)], { upTo: 800 });
  group.take(5, [], { sealedAt: 77 });
  const copies = [1, 7, 64, 4_096].map((bytes) => group.copy(bytes));
  const steps = (one: Group): unknown => {
    const { sources } = one.state.succession;
    const before = [...sources];
    const versions = [one.versionOf("a"), one.versionOf("b")];
    one.take(7, [gone("b")], { sealedAt: 900 });
    one.take(6, [there("c", 3)], { sealedAt: 4 });
    one.put("b");
    one.apply(sealCommand({ generation: 4, size: 8 }));
    const digest = stateDigest(one.state);
    return [before, versions, one.versionOf("b"), digest, one.copy(5).put("a")];
  };
  const expected = steps(group);
  for (const copy of copies) assertEquals(steps(copy), expected);
});

Deno.test("the state of a group that never moved has the first format", () => {
  const group = new Group();
  group.put("a");
  const [piece] = [...machine.encode(group.state)];
  assertEquals(piece?.[0], 1);
  group.apply(sealCommand({ generation: 1, size: 8 }));
  assertEquals([...machine.encode(group.state)][0]?.[0], 2);
});

Deno.test("a succession survives encoding and decoding", () => {
  const index = fc.integer({ min: 0, max: 2 ** 48 - 1 });
  const partition = fc.integer({ min: 0, max: 1_023 });
  const seal = fc.record({
    generation: fc.nat(),
    size: fc.constantFrom(8, 1_024),
    index,
  });
  fc.assert(fc.property(
    index,
    fc.option(seal, { nil: undefined }),
    fc.uniqueArray(partition, { maxLength: 128 }),
    index,
    (base, seal, partitions, upTo) => {
      const succession: Succession = {
        base,
        seal,
        isComplete: partitions.every((each) => each !== 0),
        sources: new Map(
          partitions.map((each) => [each, { upTo, sealedAt: each }]),
        ),
      };
      const bytes = successionBytes(succession);
      assertEquals(readSuccession(new ByteReader(bytes)), succession);
    },
  ));
});

Deno.test("an overview tells whether a group serves its keys, and what it waits for", () => {
  const group = new Group();
  const seen = (): unknown[] => {
    const { open, sealed, sourcesLeft } = stateOverview(group.state);
    return [open, sealed, sourcesLeft];
  };
  assertEquals(seen(), [1, 0, 0]);
  group.apply(shutCommand([3, 4]));
  assertEquals(seen(), [0, 0, 2]);
  group.take(3, [], { upTo: 7, sealedAt: 7 });
  assertEquals(seen(), [0, 0, 1]);
  group.take(4, [], { upTo: 9, sealedAt: 9 });
  assertEquals(seen(), [1, 0, 0]);
  group.apply(sealCommand({ generation: 2, size: 16 }));
  assertEquals(seen(), [0, 1, 0]);
});
