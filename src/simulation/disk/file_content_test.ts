import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../base/chance.ts";
import { FileContent } from "./file_content.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

/**
 * Random changes of a file, and its content before the first and after each.
 */
function changed(seed: number) {
  const chance = seededChance(`file ${seed}`);
  const content = new FileContent();
  let plain = new Uint8Array();
  const moments = [plain];
  const writes: { offset: number; bytes: Uint8Array }[] = [];
  for (let count = 1 + chance.below(6); count > 0; count--) {
    if (chance.chance(0.2)) {
      const length = chance.below(40);
      content.truncate(length);
      const next = new Uint8Array(length);
      next.set(plain.subarray(0, length));
      plain = next;
      writes.push({ offset: 0, bytes: bytes() });
    } else {
      const written = new Uint8Array(1 + chance.below(20))
        .map(() => chance.below(256));
      const offset = chance.below(30);
      content.write(written, offset);
      const next = new Uint8Array(
        Math.max(plain.length, offset + written.length),
      );
      next.set(plain);
      next.set(written, offset);
      plain = next;
      writes.push({ offset, bytes: written });
    }
    moments.push(plain);
  }
  return { chance, content, moments, writes };
}

/** The content after writing `bytes` to `before` at `offset`. */
function overwritten(
  before: Uint8Array,
  offset: number,
  bytes: Uint8Array,
): Uint8Array {
  const after = new Uint8Array(Math.max(before.length, offset + bytes.length));
  after.set(before);
  after.set(bytes, offset);
  return after;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((b, i) => b === other[i]);
}

Deno.test("FileContent shows each change at once", () => {
  for (let seed = 0; seed < 300; seed++) {
    const { content, moments } = changed(seed);
    assertEquals(content.read(), moments.at(-1));
    assertEquals(content.length, moments.at(-1)?.length);
  }
});

Deno.test("FileContent.losePower() keeps the changes up to some moment after the sync, and a prefix of the next", () => {
  const found = { all: 0, some: 0, none: 0, torn: 0 };
  for (let seed = 0; seed < 2_000; seed++) {
    const { chance, content, moments, writes } = changed(seed);
    const synced = chance.below(moments.length);
    content.sync(synced);
    const { changes, torn } = content.losePower(chance);
    const kept = moments.length - 1 - changes;
    assert(kept >= synced);
    const left = content.read();
    if (torn) {
      const { offset, bytes } = writes[kept]!;
      const before = moments[kept]!;
      const parts = bytes.keys().filter((length) => length > 0);
      assert(
        parts.some((length) =>
          isSame(left, overwritten(before, offset, bytes.subarray(0, length)))
        ),
      );
      found.torn++;
    } else assertEquals(left, moments[kept]);
    found[changes === 0 ? "all" : kept === synced ? "none" : "some"]++;
    // The rest is durable, and another power loss loses none of it.
    assertEquals(content.losePower(chance), { changes: 0, torn: false });
    assertEquals(content.read(), left);
  }
  for (const [what, count] of Object.entries(found)) {
    assert(count > 50, `${what}: ${count}`);
  }
});

Deno.test("FileContent.giveUp() keeps changes visible, but never durable", () => {
  const content = new FileContent();
  content.write(bytes(1, 1), 0);
  content.sync(1);
  content.write(bytes(2), 0);
  content.giveUp(2);
  content.write(bytes(3), 1);
  assertEquals(content.read(), bytes(2, 3));
  content.sync(content.changesMade);
  content.losePower(seededChance(1));
  assertEquals(content.read(), bytes(1, 3));
});

Deno.test("FileContent.flip() flips one bit, for readers and on the platter", () => {
  const content = new FileContent();
  content.write(bytes(0, 0, 0), 0);
  content.sync(1);
  content.flip(11);
  assertEquals(content.read(), bytes(0, 8, 0));
  content.losePower(seededChance(1));
  assertEquals(content.read(), bytes(0, 8, 0));
});
